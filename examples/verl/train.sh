#!/bin/sh
# train.sh [OVERRIDES]: rows and warm environments from a running server, then GRPO by verl. Further arguments go to verl:
#   SANDLOT_SERVER=10.0.0.5:50051 ./train.sh trainer.n_gpus_per_node=8 actor_rollout_ref.rollout.name=vllm
# Environment: SANDLOT_SERVER (127.0.0.1:50051), SANDLOT_TOKEN, DATA (~/data/swebench_mini), FILTER (playable=true), VAL (0.2),
# PYTHON (python3). DRY_RUN=1 stops before verl, with the command printed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export SANDLOT_SERVER="${SANDLOT_SERVER:-127.0.0.1:50051}" SANDLOT_VERL="$here"
data=${DATA:-$HOME/data/swebench_mini}
python=${PYTHON:-python3}

# Fails within seconds, and not after the model was loaded, when the server, its token or the tasks are wrong.
"$python" "$here/prepare.py" --server "$SANDLOT_SERVER" --out "$data" --filter "${FILTER:-playable=true}" --val "${VAL:-0.2}"

set -- "$python" -m verl.trainer.main_ppo --config-path "$here" --config-name swebench_multiturn_grpo \
  "data.train_files=$data/train.parquet" "data.val_files=$data/val.parquet" "$@"
if [ -n "${DRY_RUN:-}" ]; then
  echo "$*"
  exit 0
fi
exec "$@"
