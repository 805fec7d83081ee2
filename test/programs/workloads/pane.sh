# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# What runs in a pane of tmux: much output, then a screen that the test knows, then it waits.
# A stderr of its own keeps the library's lines off the screen.
awk 'BEGIN { for (i = 1; i <= 3000; i++) {
  printf "\033[3%dmline %d %s\033[0m\n", i % 8, i, substr("abcdefghijklmnopqrstuvwxyz", 1, i % 26) } }' 2> /dev/null
printf '\033[2J\033[H\033[1mbold\033[0m plain\n\033[31mred\033[0m \342\202\254 end\n'
tmux -L m9 wait-for -S "ready$1" 2> /dev/null
exec cat
