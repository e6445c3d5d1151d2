/* The verbs: each is one question to the kernel, asked by its system call and not through the tools of a distribution. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fsverity.h>
#include <linux/kexec.h>
#include <linux/keyctl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "dm.h"
#include "steps.h"

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000 /* since Linux 6.14 */
#endif
#define FILE_MAX (1 << 20) /* signatures, certificates, policies: nothing here is larger */

static char buffer[FILE_MAX];

/* A whole small file into `buffer`; its length or -1. */
static ssize_t slurp(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t total = 0, length;
    while ((length = read(fd, buffer + total, sizeof buffer - total)) > 0)
        total += length;
    close(fd);
    return length < 0 ? -1 : total;
}

/* FILE MODULE [FLAGS]: load a module, and take it out again. */
static int insmod(char **a)
{
    int fd = open(a[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int result = syscall(SYS_finit_module, fd, "", a[2] ? atoi(a[2]) : 0) ? errno : 0;
    close(fd);
    if (!result && syscall(SYS_delete_module, a[1], O_NONBLOCK))
        return errno;
    return result;
}

/* FILE [OPTIONS]: load a module and keep it. */
static int keep(char **a)
{
    int fd = open(a[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int result = syscall(SYS_finit_module, fd, a[1] ? a[1] : "", 0) ? errno : 0;
    close(fd);
    return result;
}

/* MODULE: take it out. */
static int rmmod(char **a)
{
    return syscall(SYS_delete_module, a[0], O_NONBLOCK) ? errno : 0;
}

/* The serial number of a keyring, from its name in /proc/keys ("@u" is the user's own), or 0. */
static long keyring(const char *name)
{
    char line[512], wanted[128];
    long serial = 0;
    if (!strcmp(name, "@u"))
        return KEY_SPEC_USER_KEYRING;
    snprintf(wanted, sizeof wanted, " %s: ", name);
    FILE *keys = fopen("/proc/keys", "re");
    while (keys && !serial && fgets(line, sizeof line, keys))
        if (strstr(line, " keyring ") && strstr(line, wanted))
            serial = strtol(line, NULL, 16);
    if (keys)
        fclose(keys);
    return serial;
}

/* KEYRING FILE: add the certificate in FILE. */
static int key(char **a)
{
    ssize_t length = slurp(a[1]);
    long ring = keyring(a[0]);
    if (length < 0)
        return errno;
    if (!ring)
        return ENOKEY;
    return syscall(SYS_add_key, "asymmetric", "", buffer, length, ring) < 0 ? errno : 0;
}

/* NAME: a new keyring, linked into the user's own. */
static int newring(char **a)
{
    return syscall(SYS_add_key, "keyring", a[0], NULL, 0, KEY_SPEC_USER_KEYRING) < 0 ? errno : 0;
}

/* FILE: show what is in it. */
static int cat(char **a)
{
    ssize_t length = slurp(a[0]);
    if (length < 0)
        return errno;
    printf("%.*s\n", (int)length, buffer);
    return 0;
}

/* FILE TO: all of FILE into one that was opened once; IMA's policy takes a line with each write. */
static int put(char **a)
{
    ssize_t length = slurp(a[0]), done = 0, step = 0;
    if (length < 0)
        return errno;
    int fd = open(a[1], O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    while (done < length && (step = write(fd, buffer + done, length - done)) > 0)
        done += step;
    int result = step < 0 ? errno : 0;
    if (close(fd) && !result)
        result = errno;
    return result;
}

/* TEXT TO: the text in one write. */
static int say(char **a)
{
    int fd = open(a[1], O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int result = write(fd, a[0], strlen(a[0])) < 0 ? errno : 0;
    close(fd);
    return result;
}

/* FILE TO: a copy that may be executed. */
static int copy(char **a)
{
    int from = open(a[0], O_RDONLY | O_CLOEXEC), result = 0;
    if (from < 0)
        return errno;
    int to = open(a[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    ssize_t length = -1;
    while (to >= 0 && (length = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, length) != length) {
            length = -1;
            break;
        }
    if (length < 0)
        result = errno;
    close(to);
    close(from);
    return result;
}

/* FILE: read all of it. */
static int readall(char **a)
{
    int fd = open(a[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    ssize_t length;
    while ((length = read(fd, buffer, sizeof buffer)) > 0)
        ;
    int result = length < 0 ? errno : 0;
    close(fd);
    return result;
}

/* FILE OFFSET TEXT: overwrite some bytes. */
static int poke(char **a)
{
    int fd = open(a[0], O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int result = pwrite(fd, a[2], strlen(a[2]), atol(a[1])) < 0 ? errno : 0;
    close(fd);
    return result;
}

static int run_below(const char *root, char **a)
{
    int channel[2], result = 0, status = 0;
    if (pipe2(channel, O_CLOEXEC))
        return errno;
    pid_t child = fork();
    if (!child) {
        if (!root || (!chroot(root) && !chdir("/")))
            execv(a[0], a);
        result = errno;
        _exit(write(channel[1], &result, sizeof result) == sizeof result ? 126 : 127);
    }
    close(channel[1]);
    ssize_t length = read(channel[0], &result, sizeof result);
    close(channel[0]);
    waitpid(child, &status, 0);
    if (length == sizeof result)
        return result;
    return EXITED | (WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* PROGRAM ARGUMENT...: run it and tell how it ended; the errno when it may not run. */
static int run(char **a)
{
    return run_below(NULL, a);
}

/* ROOT PROGRAM ARGUMENT...: the same with another root folder. */
static int inside(char **a)
{
    return run_below(a[0], a + 1);
}

/* FILE: would the kernel execute it? (a script interpreter's question) */
static int askexec(char **a)
{
    char *arguments[] = {"asked", NULL}, *none[] = {NULL};
    return syscall(SYS_execveat, AT_FDCWD, a[0], arguments, none, AT_EXECVE_CHECK) ? errno : 0;
}

/* FILE [SIGNATURE [ALGORITHM BLOCK]]: turn fs-verity on; by default with SHA-256 (1) and blocks of 4096 bytes. */
static int verity(char **a)
{
    ssize_t length = a[1] ? slurp(a[1]) : 0;
    if (length < 0)
        return errno;
    int fd = open(a[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    struct fsverity_enable_arg how = {.version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256, .block_size = 4096};
    if (a[1] && a[2] && a[3]) {
        how.hash_algorithm = atoi(a[2]);
        how.block_size = atoi(a[3]);
    }
    how.sig_ptr = (unsigned long)buffer;
    how.sig_size = length;
    int result = ioctl(fd, FS_IOC_ENABLE_VERITY, &how) ? errno : 0;
    close(fd);
    return result;
}

/* FILE: show its fs-verity digest. */
static int measure(char **a)
{
    int fd = open(a[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    struct fsverity_digest *digest = (void *)buffer;
    digest->digest_size = 64;
    int result = ioctl(fd, FS_IOC_MEASURE_VERITY, digest) ? errno : 0;
    close(fd);
    for (int i = 0; !result && i < digest->digest_size; i++)
        printf("%02x", digest->digest[i]);
    printf("\n");
    return result;
}

/* FILE NAME VALUE: set an extended attribute to what is in the file VALUE. */
static int xattr(char **a)
{
    ssize_t length = slurp(a[2]);
    return length < 0 || setxattr(a[0], a[1], buffer, length, 0) ? errno : 0;
}

/* NUMBER IMAGE: attach a file to /dev/loopNUMBER. */
static int loop(char **a)
{
    char path[32];
    snprintf(path, sizeof path, "/dev/loop%s", a[0]);
    int device = open(path, O_RDWR | O_CLOEXEC), image = open(a[1], O_RDWR | O_CLOEXEC);
    int result = device < 0 || image < 0 || ioctl(device, LOOP_SET_FD, image) ? errno : 0;
    close(image);
    close(device);
    return result;
}

/* DEVICE FOLDER TYPE [OPTIONS], read-only where the options begin with "ro". */
static int attach(char **a)
{
    unsigned long flags = a[3] && !strncmp(a[3], "ro", 2) ? MS_RDONLY : 0;
    char *options = a[3] && flags ? a[3] + 2 + (a[3][2] == ',') : a[3];
    mkdir(a[1], 0755);
    return mount(a[0], a[1], a[2], flags, options) ? errno : 0;
}

static int detach(char **a)
{
    return umount(a[0]) ? errno : 0;
}

/* KERNEL: load a kernel to be started next, and forget it again. */
static int kexec(char **a)
{
    int kernel = open(a[0], O_RDONLY | O_CLOEXEC);
    if (kernel < 0)
        return errno;
    int result = syscall(SYS_kexec_file_load, kernel, -1, 1, "", KEXEC_FILE_NO_INITRAMFS) ? errno : 0;
    close(kernel);
    if (!result)
        syscall(SYS_kexec_file_load, -1, -1, 0, NULL, KEXEC_FILE_UNLOAD);
    return result;
}

const struct verb verbs[] = {
    {"insmod", insmod}, {"keep", keep},     {"rmmod", rmmod}, {"key", key},       {"newring", newring}, {"cat", cat},         {"put", put},
    {"say", say},       {"copy", copy},     {"read", readall},    {"poke", poke},       {"run", run},
    {"askexec", askexec}, {"verity", verity}, {"measure", measure}, {"xattr", xattr},   {"loop", loop},
    {"mount", attach},  {"umount", detach}, {"kexec", kexec},     {"dm", dm_verity},    {"dmremove", dm_remove},
    {"inside", inside},
    {NULL, NULL},
};
