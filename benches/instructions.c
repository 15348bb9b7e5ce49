/* A plugin for QEMU's user mode emulation that counts the instructions a program executes, and prints their number on
 * standard error when it ends. benches/preview-on-arm uses it.
 *
 *   gcc -O2 -shared -fPIC -o instructions.so benches/instructions.c
 *   QEMU_PLUGIN=./instructions.so qemu-aarch64 PROGRAM
 *
 * QEMU's plugin interface, version 1 (qemu-plugin.h), is declared here, since Debian packages no header.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

struct qemu_plugin_tb;
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*translated)(uint64_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *counter, uint64_t amount);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*ended)(uint64_t, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

int qemu_plugin_version = 1;

static uint64_t executed;

/* Each time the block is executed, its instructions are added. Threads may lose a sum to each other now and then. */
static void translated(uint64_t id, struct qemu_plugin_tb *block) {
    enum { ADD = 0 };
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, &executed, qemu_plugin_tb_n_insns(block));
}

static void ended(uint64_t id, void *unused) {
    fprintf(stderr, "instructions %" PRIu64 "\n", executed);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
