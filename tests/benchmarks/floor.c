/* The floor of bench_media: sends and receives the datagrams of two-way audio, and does nothing else with them.
 *
 * usage: floor ADDRESS PORT COUNT BYTES; COUNT sockets send BYTES each every 20 ms and read what comes back.
 * Speaks JSON lines as the other clients do: {"up": true}, {"ready": true}, then {"sent": n, "received": n} for every
 * line of its input; ends with it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 2048, PERIOD_NS = 20 * 1000 * 1000 };

int main(int argc, char **argv)
{
    static char buffer[LARGEST];
    struct sockaddr_in far = {.sin_family = AF_INET};
    struct rlimit files;
    struct timespec due;
    long long sent = 0, received = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc != 5 || inet_pton(AF_INET, argv[1], &far.sin_addr) != 1)
        return 2;
    far.sin_port = htons(atoi(argv[2]));
    int count = atoi(argv[3]), bytes = atoi(argv[4]);
    if (count < 1 || bytes < 1 || bytes > LARGEST)
        return 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    puts("{\"up\": true}");
    fflush(stdout);
    int *sockets = calloc(count, sizeof *sockets);
    for (int i = 0; i < count; i++) {
        sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (sockets[i] < 0 || connect(sockets[i], (struct sockaddr *)&far, sizeof far))
            return 1;
    }
    puts("{\"ready\": true}");
    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (;;) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        if (poll(&input, 1, 0) > 0) {
            char line[64];
            if (read(0, line, sizeof line) <= 0)
                return 0;
            printf("{\"sent\": %lld, \"received\": %lld}\n", sent, received);
            fflush(stdout);
        }
        for (int i = 0; i < count; i++)
            sent += send(sockets[i], buffer, bytes, 0) == bytes;
        for (int i = 0; i < count; i++)
            while (recv(sockets[i], buffer, LARGEST, 0) > 0)
                received++;
        due.tv_nsec += PERIOD_NS;
        if (due.tv_nsec >= 1000000000) {
            due.tv_nsec -= 1000000000;
            due.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
}
