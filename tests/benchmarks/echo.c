/* Sends every datagram back to where it came from: what the floor and the saturation rows of bench_media talk to.
 *
 * usage: echo ADDRESS [THREADS]; prints the port, runs until it is killed or its parent ends. With several threads each
 * sleeps on a socket of its own, and every datagram wakes one up: what a sender pays for when it talks to Janus, which
 * has a thread per PeerConnection. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, LARGEST = 2048, STACK = 512 * 1024 };

static struct sockaddr_in self = {.sin_family = AF_INET};

static int open_socket(void)
{
    socklen_t size = sizeof self;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 8 << 20, one = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof self) || getsockname(fd, (struct sockaddr *)&self, &size))
        exit(1);
    return fd;
}

static void *serve(void *argument)
{
    int fd = *(int *)argument;
    char buffers[BATCH][LARGEST];
    struct sockaddr_in from[BATCH];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];

    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){buffers[i], LARGEST};
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &parts[i], .msg_iovlen = 1};
        }
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++)
            parts[i].iov_len = messages[i].msg_len;
        for (int sent = 0; sent < count;) {
            /* an error belongs to an earlier datagram whose receiver has gone */
            int done = sendmmsg(fd, messages + sent, count - sent, 0);
            sent += done > 0 ? done : 1;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc < 2 || inet_pton(AF_INET, argv[1], &self.sin_addr) != 1)
        return 2;
    int threads = argc > 2 ? atoi(argv[2]) : 1;
    int *sockets = calloc(threads, sizeof *sockets);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        sockets[i] = open_socket();
        if (pthread_create(&thread, &small, serve, &sockets[i]))
            return 1;
    }
    printf("%d\n", ntohs(self.sin_port));
    fflush(stdout);
    pause();
    return 0;
}
