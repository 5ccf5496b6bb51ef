; A mapping that changes under two CPUs: after the other CPU has answered the IPI by INVLPG, it sees the new frame.
; cpus: 2
; timeout: 120
%include "long64.inc"
%define ROUNDS 400
%define PTE(n) (PLAY_PT + 8 * (n))
%define PAGE(n) (PLAY + 0x1000 * (n))
main:
  on_vector 0x77, shoot
  mov dword [PAGE(1)], 1
  mov dword [PAGE(2)], 2
  start_ap 1, other
  wait_for dword [ready], 1
  mov r8d, ROUNDS
.round:
  mov ebx, r8d
  and ebx, 1
  inc ebx ; 1, 2
  mov eax, ebx
  shl eax, 12
  add eax, PLAY + 3
  mov [PTE(5)], rax
  mov dword [shot], 0
  apic_write 0x310, 1 << 24
  apic_write 0x300, 0x4077
  wait_for dword [shot], 1
  ; what the other reads from now on
  mov eax, [reads]
  add eax, 2
.reads:
  pause
  mov edx, [reads]
  sub edx, eax
  js .reads
  check_eq dword [seen], ebx
  dec r8d
  jnz .round
  pass
other:
  apic_write 0xF0, 0x1FF
  mov dword [ready], 1
  sti
.read:
  mov eax, [PAGE(5)]
  mov [seen], eax
  inc dword [reads]
  jmp .read
shoot:
  push rax
  invlpg [PAGE(5)]
  mov dword [shot], 1
  apic_write 0xB0, 0
  pop rax
  add rsp, 16
  iretq
ready: dd 0
shot: dd 0
  align 64
seen: dd 0
reads: dd 0
