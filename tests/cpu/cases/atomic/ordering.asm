; Memory order of x86 (SDM 3A 9.2): a store is not seen before an earlier one; with MFENCE or LOCK between store and load
; two CPUs never both miss the other's store.
; cpus: 2
; timeout: 120
%include "long64.inc"
%define ROUNDS 400
main:
  ; message passing
  start_ap 1, receiver
  mov ecx, ROUNDS
.send:
  mov [data], ecx
  mov [flag], ecx
  wait_for dword [seen], ecx
  dec ecx
  jnz .send
  ; Dekker: both store, then both load
  mov ecx, ROUNDS
.dekker:
  mov dword [mine], 0
  mov dword [theirs], 0
  mov dword [their_view], -1
  mov [go], ecx
  mov dword [mine], 1
  mfence
  mov ebx, [theirs]
  wait_for dword [round_done], ecx
  or ebx, [their_view]
  check nz
  dec ecx
  jnz .dekker
  pass
receiver:
  mov ecx, ROUNDS
.receive:
  wait_for dword [flag], ecx
  mov eax, [data]
  check_eq eax, ecx
  mov [seen], ecx
  dec ecx
  jnz .receive
  mov ecx, ROUNDS
.dekker:
  wait_for dword [go], ecx
  mov eax, 1
  xchg eax, [theirs]
  mov eax, [mine]
  mov [their_view], eax
  mov [round_done], ecx
  dec ecx
  jnz .dekker
.park:
  hlt
  jmp .park
%macro variable 1
  align 64
%1: dd 0
%endmacro
  variable data
  variable flag
  variable seen
  variable go
  variable mine
  variable theirs
  variable their_view
  variable round_done
