//! Reading an object: its keys are told apart before its values are looked at, so
//! that none is ever ignored.

use std::collections::BTreeMap;

use super::fields::{Field, Reading, Reported};
use super::json::{Member, Value};
use super::model::Place;
use super::problem::member_field;
use super::wording::{any_of, nearest, quoted};

/// An object whose keys have been looked over.
pub(super) struct Section<'a> {
    reading: &'a Reading<'a>,
    path: String,
    offset: usize,
    members: &'a [Member],
    index: BTreeMap<&'a str, &'a Member>,
}

impl<'a> Section<'a> {
    /// Reports keys that are given twice; the first of them counts.
    pub fn of(object: &Field<'a>) -> Result<Self, Reported> {
        let members = object.members()?;
        let mut index = BTreeMap::new();
        for member in members {
            index.entry(member.key.as_str()).or_insert(member);
        }
        let section = Section {
            reading: object.reading,
            path: object.path.clone(),
            offset: object.offset(),
            members,
            index,
        };
        section.report_duplicates();
        Ok(section)
    }

    /// All members that are not null, in the file's order.
    pub fn entries(&self) -> Vec<(&'a str, Field<'a>)> {
        let firsts = self.members.iter().filter(|member| self.is_first(member));
        firsts
            .filter_map(|member| Some((member.key.as_str(), self.get(&member.key)?)))
            .collect()
    }

    /// Not a key that has been given before.
    fn is_first(&self, member: &Member) -> bool {
        let first = self.index.get(member.key.as_str());
        first.is_some_and(|first| first.key_offset == member.key_offset)
    }

    /// `None` where the key is left out, or null, which says the same.
    pub fn get(&self, key: &str) -> Option<Field<'a>> {
        let member = self.index.get(key)?;
        if matches!(member.node.value, Value::Null) {
            return None;
        }
        Some(Field::new(
            self.reading,
            member_field(&self.path, key),
            &member.node,
        ))
    }

    /// The value of `key`, or `default` where it is left out.
    pub fn read<T>(
        &self,
        key: &str,
        default: T,
        read: impl FnOnce(&Field<'a>) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        self.get(key).map_or(Ok(default), |field| read(&field))
    }

    /// The value of `key`, if there is one.
    pub fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        self.get(key).map(|field| read(&field)).transpose()
    }

    /// Reports a key that has to be there; the place is the object's.
    pub fn missing(&self, key: &str, cure: &str) -> Reported {
        self.problem_of(key, format!("is missing; {cure}"))
    }

    /// Reports the value of a key, or what holds where it is left out.
    pub fn problem_of(&self, key: &str, message: String) -> Reported {
        match self.get(key) {
            Some(field) => field.problem(message),
            None => {
                let field = member_field(&self.path, key);
                self.reading.report(self.offset, &field, message)
            }
        }
    }

    /// Where a key that is left out would stand: the object.
    pub fn place_of(&self, key: &str) -> Place {
        match self.get(key) {
            Some(field) => field.place(),
            None => self
                .reading
                .place(self.offset, &member_field(&self.path, key)),
        }
    }

    /// The same for a key of an object in this one, or in one of that; without a report about them.
    pub fn place_at(&self, path: &[&str]) -> Place {
        let mut offset = self.offset;
        let mut members = self.members;
        for key in path {
            let Some(member) = members.iter().find(|member| member.key == *key) else {
                break;
            };
            members = match &member.node.value {
                Value::Null => break,
                Value::Object(inner) => inner,
                _ => &[],
            };
            offset = member.node.offset;
        }
        let field = path
            .iter()
            .fold(self.path.clone(), |parent, key| member_field(&parent, key));
        self.reading.place(offset, &field)
    }

    fn report_duplicates(&self) {
        for member in self.members {
            let Some(first) = self.index.get(member.key.as_str()) else {
                continue;
            };
            if first.key_offset != member.key_offset {
                let line = self.reading.place(first.key_offset, "").line;
                let message = format!("is given twice, first in line {line}; keep one");
                self.report_key(member, message);
            }
        }
    }

    pub fn report_unknown(&self, known: &[&'static str]) {
        for member in self.members {
            if !known.contains(&member.key.as_str()) {
                let cure = match nearest(&member.key, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.len() <= 8 => format!("known here: {}", any_of(known)),
                    None => "remove it".to_string(),
                };
                let key = quoted(&member.key);
                self.report_key(member, format!("unknown key {key}; {cure}"));
            }
        }
    }

    fn report_key(&self, member: &Member, message: String) {
        let field = member_field(&self.path, &member.key);
        self.reading.report(member.key_offset, &field, message);
    }
}
