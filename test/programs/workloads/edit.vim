" SPDX-License-Identifier: BSD-2-Clause
" Substitutes, sorts, moves, macros, undo, windows, functions, pattern matches, folds: then writes the buffer.
set nocompatible undolevels=1000 nomore hidden encoding=utf-8
let s:lines = line('$')
%s/\v(\d+) (\w+)/\2-\1/g
g/-7/move 0
v/[aeiou]/delete
%sort n /[a-z]*-/
let @q = "0ywA <\<C-R>\">\<Esc>j"
normal gg
execute 'normal 200@q'
undo
redo
silent earlier 3
silent later 3
let s:words = {}
for s:line in getline(1, '$')
  for s:word in split(s:line, '\W\+')
    let s:words[s:word] = get(s:words, s:word, 0) + 1
  endfor
endfor
function! Shout(text) abort
  return substitute(a:text, '\<.', '\u&', 'g')
endfunction
for s:number in range(1, min([line('$'), 2000]))
  call setline(s:number, Shout(getline(s:number)))
endfor
for s:number in range(1, 8)
  split
  enew
  call setline(1, map(range(400 * s:number), 'printf("%05d %s", v:val, repeat("z", v:val % 90))'))
  execute '2,' . (100 * s:number) . 'global/z/normal! 0x'
  let s:words['buffer' . s:number] = len(join(getline(1, '$')))
  bdelete!
endfor
set foldmethod=indent
silent! %foldopen!
call append('$', ['words ' . len(s:words), 'lines ' . s:lines, string(sort(items(s:words))[:40])])
call append('$', [json_encode(s:words)[:300], sha256(join(getline(1, '$'), "\n"))])
write! out.txt
qall!
