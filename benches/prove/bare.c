/* Ends at once: what is measured of it is what measuring costs. */
#include <signal.h>
#include <unistd.h>

static void stop(int number) { (void)number; _exit(0); }

int main(void) {
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    if (write(1, "ready\n", 6) != 6) return 1;
    for (;;) pause();
}
