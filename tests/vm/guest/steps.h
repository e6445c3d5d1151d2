/* What the guest's first process can be asked to do. Every verb answers 0, an errno, or an exit status marked with EXITED. */
#ifndef STEPS_H
#define STEPS_H

#define EXITED 0x10000 /* a program ran and ended with the status in the low byte */

struct verb {
    const char *name;
    int (*act)(char **arguments); /* NULL-terminated */
};

extern const struct verb verbs[];

#endif
