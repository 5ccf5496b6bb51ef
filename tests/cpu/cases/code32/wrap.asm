; 32-bit addresses wrap at 4 GiB: sums of registers and displacements, the stack, FS and GS with bases. With the first and the
; last page mapped, so that an address that did not wrap would be seen.
; kvm: hardware
%include "pm32.inc"
%define DIR 0x200000
%define LOW 0x201000  ; table of the first 4 MiB
%define HIGH 0x202000 ; table of the last 4 MiB
%define TOP 0x300000  ; what is at 0xFFFFF000
%define BOTTOM 0x301000 ; what is at 0
%define SLOT(n) (SPARE + (n) * 8)

%macro descriptor 4 ; slot, base, limit, flags and access bytes
  mov dword [gdt_spare + (%1) * 8], ((%3) & 0xFFFF) | (((%2) & 0xFFFF) << 16)
  mov dword [gdt_spare + (%1) * 8 + 4], (((%2) >> 16) & 0xFF) | ((%4) & 0xF0FF) << 8 | ((%3) & 0xF0000) | ((%2) & 0xFF000000)
%endmacro

main:
  mov edi, DIR
  mov ecx, 3072
  xor eax, eax
  rep stosd
  mov edi, LOW
  mov eax, 3
  mov ecx, 1024
.fill:
  stosd
  add eax, 0x1000
  loop .fill
  mov dword [DIR], LOW + 3
  mov dword [DIR + 0xFFC], HIGH + 3
  mov dword [HIGH + 0xFFC], TOP + 3
  mov dword [HIGH + 0xFF8], TOP + 0x3003
  mov dword [LOW], BOTTOM + 3
  mov eax, DIR
  mov cr3, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax

  ; Twice each, so that what was learned the first time is used.
  mov ebp, 2
.again:
  ; base + displacement
  mov dword [BOTTOM + 0x10], 0x10101010
  mov dword [BOTTOM + 0xFFC], 0x0FFC0FFC
  mov dword [TOP + 0xFF0], 0xF0F0F0F0
  mov ebx, 0xFFFFFFF0
  check_eq dword [ebx], 0xF0F0F0F0
  check_eq dword [ebx + 0x20], 0x10101010
  check_eq dword [ebx + 0x100C], 0x0FFC0FFC
  mov ebx, 0x30
  check_eq dword [ebx - 0x20], 0x10101010
  check_eq dword [ebx - 0x40], 0xF0F0F0F0
  mov eax, 0xFFFFFFF0
  mov dword [eax + 0x24], 0x14141414
  check_eq dword [BOTTOM + 0x14], 0x14141414
  add eax, 0x30
  mov [eax - 8], ebx
  check_eq dword [BOTTOM + 0x18], 0x30
  lea ecx, [eax - 0x40]
  check_eq ecx, 0xFFFFFFE0
  mov dword [ecx + 4], 0xE4E4E4E4
  check_eq dword [TOP + 0xFE4], 0xE4E4E4E4
  ; an instruction that reads and writes, one with a large displacement, one with an index, one with nothing but that
  mov ebx, 0xFFFFFFF8
  lock add dword [ebx + 0x1C], 1
  check_eq dword [BOTTOM + 0x14], 0x14141415
  mov ebx, 0x40000000
  check_eq dword [ebx + 0xC0000010], 0x10101010
  check_eq dword [ebx + BOTTOM - 0x40000000 + 0x10], 0x10101010
  mov ecx, -4
  check_eq dword [BOTTOM + 0x20 + ecx * 4], 0x10101010
  mov ebx, BOTTOM + 0x20
  check_eq dword [ebx + ecx * 4], 0x10101010
  check_eq dword [ecx * 4], 0xF0F0F0F0
  mov ebx, 0x80000000
  mov ecx, 0x80000010
  check_eq dword [ebx + ecx], 0x10101010
  add dword [ebx + ecx], 1
  check_eq dword [BOTTOM + 0x10], 0x10101011
  ; groups: addresses on both sides off one register
  mov ebx, 0xFFFFFFFC
  mov eax, [ebx - 0xC]
  mov edx, [ebx + 0x14]
  mov ecx, [ebx]
  check_eq eax, 0xF0F0F0F0
  check_eq edx, 0x10101011
  mov [ebx - 0x10], ebp
  mov [ebx + 0x24], ebp
  check_eq dword [TOP + 0xFEC], ebp
  check_eq dword [BOTTOM + 0x20], ebp
  ; across the end: the limit is passed
  mov ebx, 0xFFFFFFFE
  expect_fault GP, 0, mov eax, [ebx]
  expect_fault GP, 0, mov [ebx], eax

  ; the stack: pushes go from the first page to the last, pops the other way
  mov esi, esp
  mov esp, 8
  push dword 0x11111111
  push dword 0x22222222
  push dword 0x33333333
  push dword 0x44444444
  mov edi, esp
  pop eax
  pop ebx
  pop ecx
  pop edx
  mov esp, esi
  check_eq edi, 0xFFFFFFF8
  check_eq eax, 0x44444444
  check_eq ebx, 0x33333333
  check_eq ecx, 0x22222222
  check_eq edx, 0x11111111
  check_eq dword [TOP + 0xFF8], 0x44444444
  check_eq dword [TOP + 0xFFC], 0x33333333
  check_eq dword [BOTTOM], 0x22222222
  check_eq dword [BOTTOM + 4], 0x11111111
  mov esp, 0
  call .callee
  mov edi, esp
  mov esp, esi
  check_eq edi, 0
  mov esp, 0xFFFFFFF0
  sub esp, 0x10
  add esp, 0x30
  mov eax, [esp - 0x20]
  mov edx, [esp]
  mov edi, esp
  mov esp, esi
  check_eq edi, 0x10
  check_eq eax, 0xF0F0F0F0 | 0 ; 0xFFFFFFF0, not written by the pushes
  check_eq edx, 0x10101011
  push ebp
  mov ebp, 0xFFFFFFFC
  mov dword [ebp], 0x77777777
  leave
  mov edi, esp
  mov esp, esi
  check_eq ebp, 0x77777777
  check_eq edi, 0
  mov ebp, [esp - 4]

  ; FS and GS with bases: a negative offset, a sum beyond 4 GiB, a base near the end
  descriptor 0, 0x301100, 0xFFFFF, 0xC093
  descriptor 1, 0xFFFFF800, 0xFFFFF, 0xC093
  mov eax, SLOT(0)
  mov gs, eax
  mov eax, SLOT(1)
  mov fs, eax
  mov dword [BOTTOM + 0xF0], 0xF0
  mov dword [BOTTOM + 0x108], 0x108
  mov dword [TOP + 0x810], 0x810
  check_eq dword [gs:8], 0x108
  check_eq dword [gs:0xFFFFFFF0], 0xF0
  mov eax, 8
  check_eq dword [gs:eax], 0x108
  mov eax, 0xFFFFFFF0
  check_eq dword [gs:eax], 0xF0
  check_eq dword [gs:eax + 0x18], 0x108
  mov ecx, -4
  check_eq dword [gs:ecx * 4], 0xF0
  mov dword [gs:eax], 0xF1
  check_eq dword [BOTTOM + 0xF0], 0xF1
  inc dword [gs:0xFFFFFFF0]
  check_eq dword [BOTTOM + 0xF0], 0xF2
  check_eq dword [fs:0x10], 0x810
  check_eq dword [fs:0x810], 0x10101011
  mov eax, 0x800
  check_eq dword [fs:eax + 0x10], 0x10101011
  mov dword [fs:eax + 0x30], 0x3030
  check_eq dword [BOTTOM + 0x30], 0x3030
  add eax, 0x18
  mov ecx, [fs:eax - 8]
  check_eq ecx, 0x10101011
  ; another base for the same code, limits, a segment that cannot be written, none at all
  call .through_gs
  check_eq eax, 0x108
  mov eax, SLOT(1)
  mov gs, eax
  mov dword [TOP + 0x808], 0x808
  call .through_gs
  check_eq eax, 0x808
  check_eq edx, 0x808
  descriptor 2, 0x301100, 7, 0x4093
  mov eax, SLOT(2)
  mov gs, eax
  check_eq dword [gs:4], 0
  expect_fault GP, 0, mov eax, [gs:8]
  mov eax, 8
  expect_fault GP, 0, mov eax, [gs:eax]
  mov eax, 0xFFFFFFF0
  expect_fault GP, 0, mov eax, [gs:eax]
  descriptor 3, 0x301100, 0xFFFFF, 0xC091
  mov eax, SLOT(3)
  mov gs, eax
  check_eq dword [gs:8], 0x108
  expect_fault GP, 0, mov dword [gs:8], 1
  mov eax, 8
  expect_fault GP, 0, mov dword [gs:eax], 1
  xor eax, eax
  mov gs, eax
  expect_fault GP, 0, mov eax, [gs:8]
  expect_fault GP, 0, mov eax, [gs:eax + 8]
  expect_fault GP, 0, push dword [gs:eax + 8]
  dec ebp
  jnz .again

  ; the code segment cannot be written
  expect_fault GP, 0, mov dword [cs:TOP], 1
  mov eax, TOP
  expect_fault GP, 0, mov dword [cs:eax], 1
  check_eq dword [cs:eax + 0x810], 0x810
  pass
.callee:
  check_eq esp, 0xFFFFFFFC
  ret
.through_gs:
  mov ecx, 8
  mov edx, [gs:ecx]
  mov eax, [gs:8]
  ret
