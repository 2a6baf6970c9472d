#!/bin/sh
# Slurm's programs for test_slurm.c, which calls this file by their names. FAKE is a directory:
#   jobs/JOB_INDEX      "pid state", of each task      number    the last job's
#   ended               the list of ended jobs         refuse    sbatch refuses
#   silent              squeue, sinfo and scontrol fail
#   gpus                what tasks see as CUDA_VISIBLE_DEVICES
#   down                no node is up
#   hold                tasks stay in the queue        no_word   ends are not in the list
FAKE=${HOME:?}
name=$(basename "$0")

fail()
{
    echo "$name: error: $1" >&2
    exit 1
}

run_task() # job index name script
{
    SLURM_ARRAY_JOB_ID=$1 SLURM_ARRAY_TASK_ID=$2 SLURMD_NODENAME=n1
    export SLURM_ARRAY_JOB_ID SLURM_ARRAY_TASK_ID SLURMD_NODENAME
    if [ -e "$FAKE/gpus" ]; then
        CUDA_VISIBLE_DEVICES=$(cat "$FAKE/gpus")
        export CUDA_VISIBLE_DEVICES
    fi
    sh "$4" &
    echo "$! RUNNING" >"$FAKE/jobs/$1_$2"
    wait $!
    status=$? signal=0 state=COMPLETED
    [ $status -gt 128 ] && signal=$((status - 128)) && status=0
    [ $status -ne 0 ] || [ $signal -ne 0 ] && state=FAILED
    [ -e "$FAKE/jobs/$1_$2.cancelled" ] && state=CANCELLED
    echo "0 $state" >"$FAKE/jobs/$1_$2"
    [ -e "$FAKE/no_word" ] ||
        echo "JobId=$1$2 UserId=u($(id -u)) GroupId=g(0) Name=$3 JobState=$state Partition=p NodeList=n1" \
            "ArrayJobId=$1 ArrayTaskId=$2 DerivedExitCode=0:0 ExitCode=$status:$signal " >>"$FAKE/ended"
}

case $name in
sbatch)
    [ -e "$FAKE/refuse" ] && fail "$(cat "$FAKE/refuse")"
    job=$(($(cat "$FAKE/number" 2>/dev/null || echo 0) + 1))
    echo $job >"$FAKE/number"
    cat >"$FAKE/script.$job"
    for word in "$@"; do
        case $word in
        --array=*) array=${word#*=} ;;
        --job-name=*) title=${word#*=} ;;
        esac
    done
    echo "$@" >>"$FAKE/arguments"
    for range in $(echo "$array" | tr , ' '); do
        for index in $(seq "${range%-*}" "${range#*-}"); do
            echo "$title" >"$FAKE/jobs/$job.title"
            echo "0 PENDING" >"$FAKE/jobs/${job}_$index"
            [ -e "$FAKE/hold" ] || run_task $job "$index" "$title" "$FAKE/script.$job" >/dev/null 2>&1 &
        done
    done
    echo $job
    ;;
squeue)
    [ -e "$FAKE/silent" ] && fail "no answer"
    for file in "$FAKE"/jobs/*_*; do
        case $file in *.cancelled | *'*'*) continue ;; esac
        task=${file##*/}
        read -r pid state <"$file"
        [ "$state" = GONE ] || echo "${task%_*}|${task#*_}|$state|n1|$(cat "$FAKE/jobs/${task%_*}.title")"
    done
    ;;
scancel)
    signal=TERM
    for word in "$@"; do
        case $word in
        --signal=*) signal=${word#*=} ;;
        [0-9]*)
            read -r pid state <"$FAKE/jobs/$word"
            case $state in
            PENDING) echo "0 GONE" >"$FAKE/jobs/$word" ;;
            RUNNING) kill -s $signal "$pid" ;;
            esac
            ;;
        esac
    done
    ;;
sinfo)
    [ -e "$FAKE/silent" ] && fail "no answer"
    [ -e "$FAKE/down" ] && { printf 'n1|0/0/4/4|gpu:2|down*|Not responding\nn2|0/0/4/4|(null)|drained|mine\n'; exit; }
    echo "n1|0/4/0/4|gpu:2|idle|none"
    ;;
scontrol)
    [ -e "$FAKE/silent" ] && fail "no answer"
    echo "MaxArraySize            = 3"
    ;;
esac
exit 0
