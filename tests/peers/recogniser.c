/* A stand-in for a speech recogniser's library: functions of every kind that can be hooked. */

#include <stddef.h>
#include <time.h>

/* Takes its time in milliseconds and gives `result`. */
int recognise(void *model, int milliseconds, int result)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    (void)model;
    nanosleep(&time, NULL);
    return result;
}

/* Calls itself `depth` times, each call on a stack of its own. */
__attribute__((noinline)) long descend(long depth)
{
    volatile char room[64];
    room[depth % 64] = (char)depth;
    long below = depth > 0 ? descend(depth - 1) : 0;
    return below + 1 + (room[depth % 64] - (char)depth);
}

/* Gives its argument back, null included. */
void *open_model(void *model)
{
    return model;
}

/* Has no name in a stripped library. */
__attribute__((noinline)) static int private_tick(int count)
{
    return count + 1;
}

int tick(int count)
{
    return private_tick(count);
}
