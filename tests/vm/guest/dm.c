/* Device mapper by its ioctls (Documentation/admin-guide/device-mapper/verity.rst for the target's parameters). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dm.h"

#define SIGNATURE_MAX 65536

struct request {
    struct dm_ioctl head;
    struct dm_target_spec target;
    char parameters[2048];
};

static int ask(unsigned long number, struct request *request, const char *name, unsigned flags)
{
    int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return errno;
    request->head.version[0] = DM_VERSION_MAJOR;
    request->head.data_size = sizeof *request;
    request->head.data_start = sizeof request->head;
    request->head.flags = flags;
    snprintf(request->head.name, sizeof request->head.name, "%s", name);
    int result = ioctl(control, number, request) ? errno : 0;
    close(control);
    return result;
}

/* NAME: take the device away. */
int dm_remove(char **a)
{
    struct request request = {0};
    return ask(DM_DEV_REMOVE, &request, a[0], 0);
}

/* A key of type "user" with the signature, under the name that the target will ask for. */
static int offer(const char *name, const char *path)
{
    static char signature[SIGNATURE_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, signature, sizeof signature);
    close(fd);
    if (length < 0)
        return errno;
    return syscall(SYS_add_key, "user", name, signature, length, KEY_SPEC_USER_KEYRING) < 0 ? errno : 0;
}

/* NAME DATA HASHES BLOCKS ROOT SALT [SIGNATURE]: a read-only device, /dev/dm-N in the order of creation. The first block of
 * HASHES is the superblock. */
int dm_verity(char **a)
{
    struct request request = {0};
    char wanted[160] = "";
    int result;
    if (a[6]) {
        if ((result = offer(a[0], a[6])))
            return result;
        snprintf(wanted, sizeof wanted, " 2 root_hash_sig_key_desc %s", a[0]);
    }
    if ((result = ask(DM_DEV_CREATE, &request, a[0], 0)))
        return result;
    memset(&request, 0, sizeof request);
    request.head.target_count = 1;
    request.target.length = strtoull(a[3], NULL, 10) * 8;
    strcpy(request.target.target_type, "verity");
    snprintf(request.parameters, sizeof request.parameters, "1 %s %s 4096 4096 %s 1 sha256 %s %s%s", a[1], a[2], a[3],
             a[4], a[5], wanted);
    result = ask(DM_TABLE_LOAD, &request, a[0], DM_READONLY_FLAG);
    if (!result) {
        memset(&request, 0, sizeof request);
        result = ask(DM_DEV_SUSPEND, &request, a[0], 0); /* without the flag: resume */
    }
    if (result)
        dm_remove(a);
    return result;
}
