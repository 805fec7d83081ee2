#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# fuzz_run.sh TARGET CORPUS SECONDS: runs a libFuzzer target on a copy of the kept corpus. A finding is left beside it.
set -euo pipefail
target=$1 corpus=$2 seconds=$3
inputs=("$corpus"/*)
[[ -s ${inputs[0]} ]] || { echo "no corpus in $corpus"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "${inputs[@]}" "$work"
log=$work.log
status=0
"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 -max_len=8192 -print_final_stats=1 \
  -artifact_prefix="$target." "$work" >"$log" 2>&1 || status=$?
tail -n 40 "$log"
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
rm -f "$log"
((status == 0)) || exit 1
# A target that runs nothing finds nothing.
((${runs:-0} > 1000))
