// SPDX-License-Identifier: BSD-2-Clause
//
// Calls what it is given, from code of its own.
void plugin_call(void (*function)(void)) {
  function();
  __asm__ volatile("");
}
