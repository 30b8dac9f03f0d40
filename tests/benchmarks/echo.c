/* Sends every datagram back to where it came from: what the floor and the saturation rows of bench_media talk to.
 *
 * usage: echo ADDRESS; prints the port, runs until it is killed or its parent ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum { BATCH = 64, LARGEST = 2048 };

int main(int argc, char **argv)
{
    static char buffers[BATCH][LARGEST];
    struct sockaddr_in self = {.sin_family = AF_INET}, from[BATCH];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    socklen_t size = sizeof self;
    int room = 8 << 20;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc != 2 || inet_pton(AF_INET, argv[1], &self.sin_addr) != 1)
        return 2;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof self) || getsockname(fd, (struct sockaddr *)&self, &size))
        return 1;
    printf("%d\n", ntohs(self.sin_port));
    fflush(stdout);
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
}
