/*
 * A plugin for QEMU's user mode that counts the instructions of the program:
 *     qemu-arm -plugin instructions.so,count=FILE PROGRAM
 * writes their number to FILE at the program's end. The declarations are those of qemu-plugin.h,
 * version 1 of the interface, which Debian does not package.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct qemu_plugin_tb;
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*callback)(uint64_t, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int operation, void *counter,
                                              uint64_t amount);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*callback)(uint64_t, void *), void *data);

enum { ADD_U64 = 0 };

int qemu_plugin_version = 1;

static uint64_t instructions;
static const char *file;

/* At each run of a block that has been translated: as many as there are in it. */
static void translated(uint64_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &instructions, qemu_plugin_tb_n_insns(block));
}

static void ended(uint64_t id, void *data)
{
    FILE *output = fopen(file, "w");

    (void)id;
    (void)data;
    if (output == NULL) {
        perror(file);
        return;
    }
    fprintf(output, "%" PRIu64 "\n", instructions);
    fclose(output);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "count=", 6) != 0) {
        fputs("instructions.so: count=FILE is missing\n", stderr);
        return -1;
    }
    file = strdup(argv[0] + 6);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
