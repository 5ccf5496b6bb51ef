; Calls and returns that do not pair up: deeper than any engine remembers, two stacks in turn, returns to elsewhere, calls whose
; return address is dropped, and a thousand calls without a return.
%include "long64.inc"
%define DEPTH 50000
main:
  mov r12, rsp
  mov esp, 0xF00000
  mov r15d, 3
.again:
  ; down and up
  mov ecx, DEPTH
  xor eax, eax
  call down
  check_eq eax, DEPTH
  check_eq esp, 0xF00000
  ; down, and up at once
  mov ecx, DEPTH
  call leap
  check_eq esp, 0xF00000
  ; two stacks, each with calls of its own
  mov rbx, 0xE00000 - 8
  mov qword [rbx], coroutine
  xor eax, eax
  mov ecx, 1000
.switch:
  call swap
  inc eax
  dec ecx
  jnz .switch
  check_eq eax, 3000
  ; the return address is changed
  xor eax, eax
  mov ecx, 100
.skip:
  call skipping
  inc eax ; skipped
  add eax, 2
  dec ecx
  jnz .skip
  check_eq eax, 200
  ; no return at all
  mov ecx, 100000
.drop:
  call .dropped
.dropped:
  add rsp, 8
  dec ecx
  jnz .drop
  ; indirect, by register and by memory, to two functions in turn
  mov ecx, 1000
  xor eax, eax
.turn:
  mov edx, ecx
  and edx, 1
  mov rdx, [functions + rdx * 8]
  call rdx
  mov edx, ecx
  and edx, 1
  call [functions + rdx * 8]
  dec ecx
  jnz .turn
  check_eq eax, 3000
  dec r15d
  jnz .again
  mov rsp, r12
  pass
down:
  dec ecx
  jz .bottom
  call down
.bottom:
  inc eax
  ret
leap:
  dec ecx
  jz .bottom
  call leap
  fail "returned"
.bottom:
  mov esp, 0xF00000 - 8
  ret
swap: ; to the other stack
  xchg rsp, rbx
  ret
coroutine:
  call two
  call swap
  jmp coroutine
two:
  add eax, 2
  ret
one:
  add eax, 1
  ret
skipping:
  add qword [rsp], 2
  ret
functions: dq one, two
