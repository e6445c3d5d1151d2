/* Ask an HTTP server all the time: http_load HOST PORT PATH TYPE FILE SECONDS CLIENTS EACH keep|new; prints JSON.

   FILE holds bodies, each behind its length in four octets; each client, a process, sends them by POST in an order of
   its own, EACH of them at a time. `keep` keeps connections, `new` opens one for each request; a connection waits for
   its answer before it asks again. It is in C so that it costs little beside what it measures: the clients share the
   processors with the server. */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 20, ROOM = 1 << 16, EACH_MOST = 256 };

struct taken { uint32_t count, failed; float seconds[MOST]; };

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static int opened(const struct sockaddr_in *to) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {10, 0};
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0) return fd;
    close(fd);
    return -1;
}

/* Read one answer; whether it was a good one. */
static int answered(int fd) {
    static char room[ROOM + 1];
    size_t got = 0;
    char *end = NULL;
    while (!end) {
        ssize_t more = recv(fd, room + got, ROOM - got, 0);
        if (more <= 0) return 0;
        got += more;
        room[got] = 0;
        end = strstr(room, "\r\n\r\n");
        if (!end && got == ROOM) return 0;
    }
    char *length = strcasestr(room, "\r\nContent-Length:");
    if (!length || length > end) return 0;
    size_t whole = end + 4 - room + strtoul(length + 17, NULL, 10);
    if (whole > ROOM) return 0;
    while (got < whole) {
        ssize_t more = recv(fd, room + got, ROOM - got, 0);
        if (more <= 0) return 0;
        got += more;
    }
    return !strncmp(room, "HTTP/1.1 200", 12) || !strncmp(room, "HTTP/1.0 200", 12);
}

/* Ask on a connection, which is opened if need be; whether that could be done. */
static int asked(struct pollfd *on, const struct sockaddr_in *to, const char *request, size_t size) {
    if (on->fd < 0) on->fd = opened(to);
    return on->fd >= 0 && send(on->fd, request, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static void ask(struct taken *taken, const struct sockaddr_in *to, char **requests, size_t *sizes, size_t count,
                unsigned seed, double seconds, int each, int closing) {
    struct pollfd on[EACH_MOST];
    double began[EACH_MOST], at = now(), end = at + seconds;
    for (int i = 0; i < each; i++) on[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    for (int first = 1; at < end && taken->count < MOST; first = 0) {
        if (!first && poll(on, each, 10000) <= 0) break;
        for (int i = 0; i < each; i++) {
            if (!first && !on[i].revents) continue;
            int good = first || (on[i].fd >= 0 && answered(on[i].fd));
            at = now();
            if (good && !first) taken->seconds[taken->count++] = at - began[i];
            else if (!good) taken->failed++;
            if ((closing || !good) && on[i].fd >= 0) {
                close(on[i].fd);
                on[i].fd = -1;
            }
            if (at >= end || taken->count >= MOST) return;
            size_t number = ((uint64_t)rand_r(&seed) << 15 ^ rand_r(&seed)) % count;
            began[i] = at;
            while (!asked(on + i, to, requests[number], sizes[number]) && now() < end) {
                taken->failed++;
                if (on[i].fd >= 0) close(on[i].fd);
                on[i].fd = -1;
            }
        }
    }
}

static int longer(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 10) return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    double seconds = atof(argv[6]);
    int clients = atoi(argv[7]), each_has = atoi(argv[8]), closing = !strcmp(argv[9], "new");
    int fd = open(argv[5], O_RDONLY);
    if (each_has < 1 || each_has > EACH_MOST) return 2;
    struct stat status;
    if (fd < 0 || fstat(fd, &status)) return 2;
    unsigned char *raw = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0), *each = raw;
    size_t count = 0;
    char **requests = malloc(sizeof *requests * (status.st_size / 4 + 1));
    size_t *sizes = malloc(sizeof *sizes * (status.st_size / 4 + 1));
    while (each + 4 <= raw + status.st_size) {
        uint32_t size = (uint32_t)each[0] << 24 | each[1] << 16 | each[2] << 8 | each[3];
        char *whole = malloc(size + 1024);
        int head = snprintf(whole, 1024, "POST %s HTTP/1.%d\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %u\r\n\r\n",
                            argv[3], !closing, argv[1], argv[4], size);
        memcpy(whole + head, each + 4, size);
        requests[count] = whole;
        sizes[count++] = head + size;
        each += 4 + size;
    }
    struct taken *taken = mmap(NULL, sizeof *taken * clients, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int client = 0; client < clients; client++)
        if (!fork()) {
            ask(taken + client, &to, requests, sizes, count, client + 1, seconds, each_has, closing);
            _exit(0);
        }
    while (wait(NULL) > 0);
    size_t all = 0, failed = 0;
    float *every = malloc(sizeof *every * MOST * clients);
    for (int client = 0; client < clients; client++) {
        memcpy(every + all, taken[client].seconds, sizeof *every * taken[client].count);
        all += taken[client].count;
        failed += taken[client].failed;
    }
    qsort(every, all, sizeof *every, longer);
    printf("{\"requests\": %zu, \"per_second\": %.1f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"failed\": %zu}\n", all,
           all / seconds, all ? 1000 * every[all / 2] : 0, all ? 1000 * every[all * 99 / 100] : 0, failed);
    return 0;
}
