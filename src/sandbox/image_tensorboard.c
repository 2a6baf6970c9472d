/* TensorBoard in the image. Hosts of a sandbox reach no package index, so what an orchestrator on
 * EC2 installs with pip is put in here, from the wheels that the machine's own pip can have. Where
 * it can have none the image does without: an orchestrator then says that it has no TensorBoard. */
#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/image_priv.h"
#include <stdio.h>
#include <sys/utsname.h>

#define IMAGE_PYTHON "3.11" /* bookworm's */
#define WHEELS "var/cache/flambe-wheels"

static int checked(struct build *b, const char *const *argv, const char *what, struct err *err)
{
    if (image_run(b, argv, err) == -1)
        return -1;
    if (b->exit_status == 0)
        return 0;
    struct str said = str_trim(buf_view(&b->output));
    if (said.n > 200) {
        said.p += said.n - 200;
        said.n = 200;
    }
    return err_set(err, ERR_UNREACHABLE, "%s failed: %.*s", what, STR_FMT(said));
}

/* The machine's Python may be any: the wheels are asked for by the image's. */
static int download(struct build *b, const char *wheels, struct err *err)
{
    struct utsname machine;
    if (uname(&machine) == -1)
        return err_set(err, ERR_INTERNAL, "uname failed");
    AUTO_FREE char *older = mem_printf("manylinux_2_17_%s", machine.machine);
    AUTO_FREE char *newer = mem_printf("manylinux_2_28_%s", machine.machine);
    AUTO_FREE char *oldest = mem_printf("manylinux2014_%s", machine.machine);
    const char *const argv[] = {"python3",
                                "-m",
                                "pip",
                                "download",
                                "--quiet",
                                "--disable-pip-version-check",
                                "--retries",
                                "1",
                                "--timeout",
                                "20",
                                "--dest",
                                wheels,
                                "--only-binary=:all:",
                                "--python-version",
                                IMAGE_PYTHON,
                                "--implementation",
                                "cp",
                                "--platform",
                                older,
                                "--platform",
                                newer,
                                "--platform",
                                oldest,
                                "--platform",
                                "any",
                                "tensorboard",
                                "setuptools<81",
                                NULL};
    return checked(b, argv, "pip download", err);
}

static int install(struct build *b, const char *root, struct err *err)
{
    const char *const venv[] = {"chroot",          root, "/usr/bin/python3", "-m", "venv",
                                IMAGE_TENSORBOARD, NULL};
    const char *const pip[] = {"chroot",
                               root,
                               IMAGE_TENSORBOARD "/bin/pip",
                               "install",
                               "--quiet",
                               "--disable-pip-version-check",
                               "--no-cache-dir",
                               "--no-index",
                               "--find-links",
                               "/" WHEELS,
                               "tensorboard",
                               "setuptools<81",
                               NULL};
    if (checked(b, venv, "python3 -m venv", err) == -1)
        return -1;
    return checked(b, pip, "pip install", err);
}

int image_add_tensorboard(struct build *b, const char *root, struct err *err)
{
    AUTO_FREE char *wheels = fs_join(root, WHEELS);
    AUTO_FREE char *venv = fs_join(root, &IMAGE_TENSORBOARD[1]);
    struct err why = {0};
    int rc = fs_mkdirs(wheels, 0755, err);
    if (rc == 0 && (download(b, wheels, &why) == -1 || install(b, root, &why) == -1)) {
        AUTO_FREE char *text =
            mem_printf("TensorBoard is not in the image: %s; hosts will do without it", why.msg);
        if (b->o->progress)
            b->o->progress(b->o->progress_ctx, text);
        rc = why.code == ERR_CANCELLED ? err_copy(err, &why) : fs_remove_tree(venv, err);
    }
    if (rc == 0)
        rc = fs_remove_tree(wheels, err);
    return rc;
}
