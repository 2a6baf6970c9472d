/* flambe: see cli/commands.c for the verbs. */
#include <stdio.h>

int main(void)
{
    puts("flambe " FLAMBE_VERSION);
    return 0;
}
