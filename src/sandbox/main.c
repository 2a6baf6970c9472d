/* flambe-sandbox: a local EC2. */
#include <stdio.h>

int main(void)
{
    puts("flambe-sandbox " FLAMBE_VERSION);
    return 0;
}
