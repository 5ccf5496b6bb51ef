; LOCK on four CPUs: every read-modify-write counts once, in every size, also across cache lines.
; cpus: 4
%include "long64.inc"
%define ROUNDS 3000
main:
  start_ap 1, worker
  start_ap 2, worker
  start_ap 3, worker
  call work
  wait_for dword [done], 4
  check_eq dword [by_add], 4 * ROUNDS
  check_eq qword [by_xadd], 4 * ROUNDS
  check_eq word [by_inc], 4 * ROUNDS
  check_eq dword [by_cmpxchg], 4 * ROUNDS
  check_eq qword [by_cmpxchg8b], 4 * ROUNDS
  check_eq dword [split], 4 * ROUNDS
  check_eq dword [guarded], 4 * ROUNDS
  check_eq dword [by_neg], 0
  pass
worker:
  call work
.park:
  hlt
  jmp .park
work:
  mov r8d, ROUNDS
.round:
  lock add dword [by_add], 1
  mov eax, 1
  lock xadd [by_xadd], rax
  lock inc word [by_inc]
  mov eax, [by_cmpxchg]
.again:
  lea edx, [rax + 1]
  lock cmpxchg [by_cmpxchg], edx
  jne .again
  mov eax, [by_cmpxchg8b]
  mov edx, [by_cmpxchg8b + 4]
.again8:
  mov ebx, eax
  mov ecx, edx
  add ebx, 1
  adc ecx, 0
  lock cmpxchg8b [by_cmpxchg8b]
  jne .again8
  lock inc dword [split]
  ; XCHG as a lock, and stores that its release orders
  mov eax, 1
.spin:
  pause
  xchg eax, [mutex]
  test eax, eax
  jnz .spin
  mov eax, [guarded]
  inc eax
  mov [guarded], eax
  mov dword [mutex], 0
  lock not dword [by_neg]
  lock xor dword [by_neg], -1
  dec r8d
  jnz .round
  lock inc dword [done]
  ret
  align 64
by_add: dd 0
  align 64
by_xadd: dq 0
by_inc: dw 0
  align 64
by_cmpxchg: dd 0
  align 8
by_cmpxchg8b: dq 0
mutex: dd 0
guarded: dd 0
by_neg: dd 0
done: dd 0
  align 64
  times 62 db 0
split: dd 0
