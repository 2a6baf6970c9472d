/* flambe: see cli/cli.c for the way in and cli/commands.c for the verbs. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
