//! What the ledger of a copy knows that was found late.

use std::collections::hash_map::Entry;
use std::io;

use super::state::{State, load};
use super::{FILE, Ledger};
use crate::record::copy::StateCopier;

impl Ledger {
    /// Takes over what the copy of the state directory knows and the state does not: the disk that
    /// it is on was mounted after the service had begun without it. To be called before anything of
    /// the copy is replaced.
    pub fn adopt_copy(&mut self) -> io::Result<()> {
        let Some(mut copier) = self.copier.take() else {
            return Ok(());
        };
        let adopted = copier.open().and_then(|()| self.adopt_from(&mut copier));
        copier.close();
        copier.note(&adopted);
        self.copier = Some(copier);
        adopted
    }

    /// Brings the copy up to date, if there is to be one.
    pub fn copy(&mut self) -> io::Result<()> {
        let Some(mut copier) = self.copier.take() else {
            return Ok(());
        };
        let copied = copier.open().and_then(|()| {
            self.adopt_from(&mut copier)?;
            copier.update()
        });
        copier.close();
        copier.note(&copied);
        self.copier = Some(copier);
        copied
    }

    /// As [`Ledger::adopt_copy`], unless that has failed and is to wait.
    pub fn adopt_copy_if_there(&mut self) -> io::Result<()> {
        match &self.copier {
            Some(copier) if !copier.has_failed() => self.adopt_copy(),
            _ => Ok(()),
        }
    }

    /// Whether something was taken over since this was asked last.
    pub fn take_adopted(&mut self) -> bool {
        std::mem::take(&mut self.adopted)
    }

    fn adopt_from(&mut self, copier: &mut StateCopier) -> io::Result<()> {
        if !copier.is_foreign()? {
            return Ok(());
        }
        let mut news = copier.adopt_records()?;
        let theirs = match load(&copier.at().join(FILE)) {
            Ok((theirs, ..)) => theirs,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        news |= self.state.adopt(theirs);
        // Also where nothing is new: an earlier try may have failed here.
        self.compact()?;
        copier.is_adopted()?;
        self.adopted |= news;
        Ok(())
    }
}

impl State {
    /// Takes what is new to it from an older one. True if there was something.
    fn adopt(&mut self, older: State) -> bool {
        let mut news = false;
        for confirmed in older.confirmed {
            let fingerprint = &confirmed.fingerprint;
            if !self.done.contains_key(fingerprint) && !self.is_confirmed(fingerprint) {
                self.confirmed.push(confirmed);
                news = true;
            }
        }
        for (fingerprint, done) in older.done {
            if let Entry::Vacant(vacant) = self.done.entry(fingerprint) {
                vacant.insert(done);
                news = true;
            }
        }
        for (key, holder) in older.keys {
            self.keys.entry(key).or_insert(holder);
        }
        for creation in older.creations {
            if !self.creations.contains(&creation) {
                self.creations.push(creation);
                news = true;
            }
        }
        for mut open in older.uploads {
            if self.uploads.iter().any(|known| known.token == open.token) {
                continue;
            }
            let fingerprint = open.fingerprint;
            let mut own = self.uploads.iter();
            // The file is sent, or is being sent, in another upload than this one.
            open.abort |= self.done.contains_key(&fingerprint)
                || self.is_confirmed(&fingerprint)
                || own.any(|known| known.fingerprint == fingerprint);
            self.uploads.push(open);
            news = true;
        }
        news
    }
}
