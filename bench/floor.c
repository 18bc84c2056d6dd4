/* The least that a TCP check can cost: floor INTERVAL_S ADDRESS...
 *
 * Connects to port 80 of every address once in an interval, without blocking, closes when the connection is there, and does
 * nothing else: no verdict, no timeout, no log. Addresses are spread over instants 100 ms apart, as the pool's checks are.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLOTS_A_SECOND 10
#define EVENTS 256

static long now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000L + time.tv_nsec / 1000000L;
}

static void begin(int epoll, const struct sockaddr_in *address)
{
    struct epoll_event event = {.events = EPOLLOUT};
    event.data.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    connect(event.data.fd, (const struct sockaddr *)address, sizeof *address);
    epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
}

int main(int argc, char **argv)
{
    int servers = argc - 2, slots = atoi(argv[1]) * SLOTS_A_SECOND, epoll = epoll_create1(0);
    struct sockaddr_in *addresses = calloc(servers, sizeof *addresses);
    struct epoll_event events[EVENTS];
    long start = now_ms();

    for (int i = 0; i < servers; i++) {
        addresses[i].sin_family = AF_INET;
        addresses[i].sin_port = htons(80);
        inet_pton(AF_INET, argv[i + 2], &addresses[i].sin_addr);
    }
    for (long slot = 0;; slot++) {
        long left;
        for (int i = slot % slots; i < servers; i += slots)
            begin(epoll, &addresses[i]);
        while ((left = start + (slot + 1) * (1000 / SLOTS_A_SECOND) - now_ms()) > 0) {
            int ready = epoll_wait(epoll, events, EVENTS, (int)left);
            for (int i = 0; i < ready; i++)
                close(events[i].data.fd);
        }
    }
}
