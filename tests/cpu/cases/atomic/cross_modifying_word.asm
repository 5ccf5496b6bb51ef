; One CPU runs a loop while another changes an instruction in the middle of it by aligned stores of eight bytes, without any
; protocol: the loop sees whole instructions, older ones never after newer ones, and the last one without leaving the loop.
; The loop also counts in its own page, so that page is written by both and executed by one.
; cpus: 2
; timeout: 120
%include "long64.inc"
%define ROUNDS 3000
main:
  start_ap 1, runner
  wait_for dword [started], 1
  mov rax, [word0]
  mov r8d, 1
.change:
  mov ecx, r8d
  shl rcx, 8
  mov rdx, 0x90909000000000B8 ; mov eax, R8D; nop; nop; nop
  or rdx, rcx
  mov [word0], rdx
  test r8d, 63
  jnz .on
.seen: ; now and then wait until it has arrived
  pause
  cmp [last], r8d
  jne .seen
.on:
  inc r8d
  cmp r8d, ROUNDS
  jbe .change
.arrived:
  pause
  cmp dword [last], ROUNDS
  jne .arrived
  mov dword [stop], 1
  wait_for dword [stopped], 1
  check_eq dword [backward], 0
  cmp dword [turns], 46 ; so often it was waited for while it changed, and then for the last one: a turn each
  check a
  pass
runner:
  xor ebx, ebx
  mov dword [started], 1
  jmp loop_of_runner
  align 64
loop_of_runner:
  inc dword [turns]
  align 8
word0:
  mov eax, 0
  times 3 nop
  mov [last], eax
  cmp eax, ebx
  mov ebx, eax
  jb .backward
  cmp dword [stop], 0
  je loop_of_runner
  mov dword [stopped], 1
.end:
  pause
  jmp .end
.backward:
  inc dword [backward]
  jmp loop_of_runner
  align 8
turns: dd 0
last: dd 0
backward: dd 0
stop: dd 0
stopped: dd 0
started: dd 0
