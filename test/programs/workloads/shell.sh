# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A busy script for bash: arrays, functions, subshells, pipes, process substitution, traps, here documents.
set -euo pipefail
rounds=$1
declare -A seen=()
declare -a order=()

collatz() {
  local n=$1 steps=0
  while (( n != 1 )); do
    (( n % 2 )) && n=$(( 3 * n + 1 )) || n=$(( n / 2 ))
    steps=$(( steps + 1 ))
  done
  REPLY=$steps
}

for (( i = 1; i <= rounds; i++ )); do
  collatz "$i"
  seen[$REPLY]="${seen[$REPLY]:-} $i"
  order+=("$REPLY:$i")
done
printf '%s\n' "${!seen[@]}" | sort -n | while read -r key; do
  printf '%d:%s\n' "$key" "${seen[$key]}"
done

text=""
for word in alpha beta gamma delta; do
  text+="${word^^} ${word/a/_} ${#word} "
done
printf '[%s]\n' "$text" "${text//A/--}" "${text%% *}"

while IFS=: read -r steps number; do
  if (( steps > 100 )); then printf 'long %s %s\n' "$number" "$steps"; fi
done < <(printf '%s\n' "${order[@]}")

for i in 1 2 3 4 5 6 7 8; do
  (
    trap 'printf "leaves %s\n" "$i"' EXIT
    y=$(printf '%s' "$i" | { read -r v; echo $(( v * v )); })
    printf 'square %s\n' "$y"
  )
done
sum=0
for i in $(seq 1 20); do
  sum=$(( sum + $(printf '%d' "$i") ))
done
wait_list=()
for i in 1 2 3 4; do
  { exit "$i"; } & wait_list+=("$!")
done
for pid in "${wait_list[@]}"; do
  wait "$pid" && status=0 || status=$?
  sum=$(( sum + status ))
done
cat <<END
sum $sum, $(printf '%05d' "$rounds"), $'tab\there', ${order[*]: -3}
END
name=abc-123
[[ $name =~ ^([a-z]+)-([0-9]+)$ ]] && echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
mapfile -t lines < <(seq 1 "$rounds")
echo "${#lines[@]} ${lines[-1]}"
