; IN and OUT in every size, INS and OUTS with counts and directions, and a fault in the middle.
; kvm: hardware
%include "long64.inc"
%define PTE(n) (PLAY_PT + 8 * (n))
%define PAGE(n) (PLAY + 0x1000 * (n))
main:
  mov eax, 0x44332211
  out SCRATCH_PORT, eax
  xor eax, eax
  in al, SCRATCH_PORT
  check_eq eax, 0x11
  in ax, SCRATCH_PORT + 1
  check_eq eax, 0x3322
  mov rax, -1
  in eax, SCRATCH_PORT
  mov ebx, 0x44332211
  check_eq rax, rbx ; the upper half is cleared
  mov edx, SCRATCH_PORT + 3
  mov al, 0x99
  out dx, al
  mov edx, SCRATCH_PORT
  in eax, dx
  check_eq eax, 0x99332211
  mov edi, PLAY
  mov ecx, 3
  rep insd
  check_eq edi, PLAY + 12
  check_eq dword [PLAY + 8], 0x99332211
  std
  mov edi, PLAY + 0x107
  mov ecx, 4
  rep insb
  cld
  check_eq edi, PLAY + 0x103
  check_eq dword [PLAY + 0x104], 0x11111111
  mov dword [PLAY + 0x200], 0xAABBCCDD
  mov esi, PLAY + 0x200
  mov edx, SCRATCH_PORT
  outsd
  in eax, dx
  check_eq eax, 0xAABBCCDD
  ; nothing there
  mov edx, 0x1234
  in ax, dx
  check_eq ax, 0xFFFF
  ; INS into an absent page: the fault comes with the progress so far
  mov qword [PTE(2)], 0
  invlpg [PAGE(2)]
  mov edx, SCRATCH_PORT
  mov edi, PAGE(2) - 4
  mov ecx, 8
  expect_fault PF, 2, rep insw
  check_eq ecx, 6
  check_eq edi, PAGE(2)
  check_eq word [PAGE(2) - 2], 0xCCDD
  pass
