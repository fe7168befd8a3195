/* Virtual CPUs on the Unicorn emulator: entering, leaving, and what must hold while one runs. */
#ifndef AIONOAH_UNICORN_HOOK_H
#define AIONOAH_UNICORN_HOOK_H

#include "space.h"

#include <pthread.h>
#include <stdatomic.h>

enum { UNICORN_REGISTERS = 34 }; /* of the largest register file, aarch64's */

/* The functions of the loaded libunicorn, as addresses. */
struct unicorn_api {
    void *emu_start, *emu_stop, *hook_add, *ctl, *reg_read_batch, *reg_write_batch;
};

/* What differs between guest architectures. */
struct unicorn_architecture {
    int registers;                        /* words of the register file */
    int ids[UNICORN_REGISTERS];           /* Unicorn's names for them */
    int pc;                               /* index of the program counter */
    int flags;                            /* index of the flags or PSTATE */
    uint64_t flags_mask, flags_set;       /* what a program may choose, and what it always has */
    uint64_t address_mask;                /* address bits that count: all but a pointer tag */
    uint64_t end;                         /* first address that no page has */
    int syscall_instruction;              /* of UC_HOOK_INSN, or 0 where it is an interrupt */
    unsigned syscall_interrupt;           /* number of that interrupt */
    unsigned illegal_instruction;         /* vector that stands for an instruction the CPU does not have */
    int saved_pc, saved_flags;            /* indices of the registers that the instruction overwrites; 0 = none */
    int forbidden[3];                     /* of UC_HOOK_INSN: port input, port output, SYSENTER; or 0 */
    unsigned protection;                  /* vector that stands for them */
};

struct unicorn_machine {
    struct frames *frames;
    struct unicorn_api api;
    struct unicorn_architecture architecture;
    size_t address_offset; /* where an engine keeps the last refused address; 0 = unknown */
    /* The baton: whoever holds it may run guest code or change what running guests see. In order of tickets. */
    pthread_mutex_t mutex;
    pthread_cond_t turn;
    uint64_t next_ticket, now_serving;
    atomic_int waiting; /* threads that wait for it */
    atomic_int urgent;  /* those among them that must not wait for the end of a time slice */
};

struct unicorn_space {
    struct space tables;
    struct unicorn_machine *machine;
    uint64_t rights_generation; /* counts changes that take something away from translated addresses */
    uint64_t code_generation;   /* counts changes after which translated code may be stale */
    int vcpus;                  /* open ones */
    int has_writable_code;
};

struct unicorn_vcpu {
    uint64_t registers[UNICORN_REGISTERS];
    uint64_t fault_address;
    int fault_access; /* SPACE_* */
    unsigned vector;
    int error; /* of uc_emu_start, for describe() */
    uint8_t code[8]; /* after an exception: the bytes on both sides of the program counter, or zeros */
    /* private */
    struct unicorn_space *space;
    void *engine;
    void *values[UNICORN_REGISTERS];
    uint64_t rights_seen, code_seen;
    uint64_t set_up_frame; /* while not 0, every page is this frame */
    unsigned blocks;       /* since entry */
    int exit;
    int has_missed, is_host_fault;
    int is_over; /* registers are final, and the rest of the basic block must not touch memory */
    volatile uint64_t lost_frame; /* a frame whose file has become too short while guest code used it, or 0 */
    atomic_int kicked;
};

struct unicorn_machine *unicorn_machine_open(struct frames *frames, const struct unicorn_api *api,
                                             const struct unicorn_architecture *architecture);
void unicorn_machine_close(struct unicorn_machine *m);

/* Stop every guest of the machine until unicorn_release. */
void unicorn_seize(struct unicorn_machine *m);
void unicorn_release(struct unicorn_machine *m);

struct unicorn_space *unicorn_space_open(struct unicorn_machine *m);
struct space *unicorn_space_tables(struct unicorn_space *s);
void unicorn_space_close(struct unicorn_space *s);

/* With the machine seized: what a change of the page tables means for translations. */
void unicorn_space_changed(struct unicorn_space *s, int loses_rights, int prot);

/* `engine` is an open uc_engine that nobody else uses. NULL if it refuses a hook. */
struct unicorn_vcpu *unicorn_vcpu_open(struct unicorn_space *s, void *engine);
void unicorn_vcpu_close(struct unicorn_vcpu *v);

/* Run from `begin` with the engine's own registers, every page being `frame`, until nothing goes on there. */
int unicorn_vcpu_set_up(struct unicorn_vcpu *v, uint64_t begin, uint64_t frame);

/* Find out where the engine keeps refused addresses, by having two refused. */
void unicorn_vcpu_calibrate(struct unicorn_vcpu *v);

int unicorn_vcpu_run(struct unicorn_vcpu *v);
void unicorn_vcpu_kick(struct unicorn_vcpu *v);

#endif
