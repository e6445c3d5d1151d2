/* The guest's first process: does the steps that stand in /steps and says on the console how each went.
 *
 * A line of /steps is NAME, VERB and arguments, separated by tabs. For each the console shows
 *     vm: step NAME
 *     vm: kmsg ...            what the kernel logged meanwhile, a line each
 *     vm: rc NAME 129 EKEYREJECTED
 * and the machine is switched off after the last.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "steps.h"

#define ARGUMENTS 32
#define LOG_SETTLES_US 60000 /* kauditd prints a little later than the refusal comes back */

static int kmsg = -1;

static void drain(int show)
{
    char record[8192];
    ssize_t length;
    while ((length = read(kmsg, record, sizeof record - 1)) > 0 || errno == EPIPE) {
        if (length <= 0)
            continue; /* EPIPE: records were overwritten, reading goes on behind them */
        record[length] = 0;
        char *text = strchr(record, ';');
        if (!show || !text)
            continue;
        text[1 + strcspn(text + 1, "\n")] = 0; /* what follows are properties of the device */
        printf("vm: kmsg %s\n", text + 1);
    }
}

static int act(char **words)
{
    for (const struct verb *verb = verbs; verb->name; verb++)
        if (!strcmp(verb->name, words[0]))
            return verb->act(words + 1);
    return ENOSYS;
}

static void step(char *line)
{
    char *words[ARGUMENTS] = {0};
    int count = 0;
    for (char *word; count < ARGUMENTS - 1 && (word = strsep(&line, "\t"));)
        words[count++] = word;
    if (count < 2)
        return;
    drain(0);
    printf("vm: step %s\n", words[0]);
    int result = act(words + 1);
    usleep(LOG_SETTLES_US);
    drain(1);
    if (result & EXITED)
        printf("vm: rc %s %d exit\n", words[0], result & 0xff);
    else
        printf("vm: rc %s %d %s\n", words[0], result, result ? strerrorname_np(result) : "ok");
}

static void set_up(void)
{
    mkdir("/proc", 0755), mkdir("/sys", 0755), mkdir("/dev", 0755), mkdir("/run", 0755), mkdir("/mnt", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL);
    mount("efivarfs", "/sys/firmware/efi/efivars", "efivarfs", 0, NULL);
    mount("tmpfs", "/run", "tmpfs", 0, NULL);
    int console = open("/dev/console", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(console, fd);
    setvbuf(stdout, NULL, _IOLBF, 0);
    kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    klogctl(8, NULL, 1); /* only emergencies between the lines of the steps */
    int ratelimit = open("/proc/sys/kernel/printk_ratelimit", O_WRONLY | O_CLOEXEC);
    if (ratelimit >= 0 && write(ratelimit, "0", 1) == 1)
        close(ratelimit);
}

int main(void)
{
    struct utsname system;
    char line[4096];
    set_up();
    uname(&system);
    printf("\nvm: begin %s\n", system.release);
    FILE *steps = fopen("/steps", "re");
    while (steps && fgets(line, sizeof line, steps)) {
        line[strcspn(line, "\n")] = 0;
        step(line);
    }
    printf("vm: end\n");
    sync();
    reboot(RB_POWER_OFF);
    return 0;
}
