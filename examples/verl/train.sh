#!/bin/sh
# train.sh [OVERRIDES]: builds the data set, warms its environments on a running server, starts GRPO. Arguments go to verl:
#   SANDLOT_SERVER=10.0.0.5:50051 ./train.sh trainer.n_gpus_per_node=8 actor_rollout_ref.rollout.name=vllm
# Environment: SANDLOT_SERVER (127.0.0.1:50051; grpcs://HOST:PORT and SANDLOT_TLS_CA_FILE for TLS); SANDLOT_TOKEN; DATA (~/data/swebench_mini); SOURCE, what `sandlot dataset build`
# is told (nothing: the locked swe-bench-verified-mini; `--bundled`; `--tasks FILE`); PYTHON (python3), where verl is installed.
# DRY_RUN=1 stops before verl and prints its command.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export SANDLOT_SERVER="${SANDLOT_SERVER:-127.0.0.1:50051}" SANDLOT_VERL="$here"
data=${DATA:-$HOME/data/swebench_mini}
python=${PYTHON:-python3}
sandlot=$here/../../scripts/sandlot # a checkout's, else the installed one
[ -x "$sandlot" ] || sandlot=sandlot

# shellcheck disable=SC2086 # SOURCE is several arguments
"$sandlot" dataset build --format verl --out "$data" ${SOURCE:-}
# A server, a token or a task that is missing fails here, and not after the model was loaded.
"$python" "$here/warm.py" --server "$SANDLOT_SERVER" --data "$data"

set -- "$python" -m verl.trainer.main_ppo --config-path "$here" --config-name swebench_multiturn_grpo \
  "data.train_files=$data/train.parquet" "data.val_files=$data/val.parquet" "$@"
if [ -n "${DRY_RUN:-}" ]; then
  echo "$*"
  exit 0
fi
exec "$@"
