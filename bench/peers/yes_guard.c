/* What no guard at all can do without: yes_guard FOLDER hears of each open and execution there and allows it.

   In C, so that what remains is the kernel's: it makes an event and a descriptor, wakes whoever reads it, and wakes
   whoever waits for the answer. It decides nothing, and is no guard. */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct fanotify_event_metadata events[16], *event;
    int group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_TID,
                              O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME | O_NONBLOCK);
    struct pollfd waiting = {group, POLLIN, 0};
    if (argc != 2 || group < 0 || setpriority(PRIO_PROCESS, 0, -10) < 0 ||
        fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN_PERM | FAN_OPEN_EXEC_PERM, AT_FDCWD, argv[1]))
        return 1;
    puts("guard ready");
    fflush(stdout);
    for (;;) {
        poll(&waiting, 1, -1);
        ssize_t length = read(group, events, sizeof events);
        for (event = events; length > 0 && FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
            struct fanotify_response answer = {event->fd, FAN_ALLOW};
            if (write(group, &answer, sizeof answer) < 0)
                return 1;
            close(event->fd);
        }
    }
}
