; Global pages outlive MOV CR3 and end with INVLPG, a change of CR4.PGE, or INVPCID of all with globals.
%include "long64.inc"
%define PTE(n) (PLAY_PT + 8 * (n))
%define PAGE(n) (PLAY + 0x1000 * (n))
; remap n, frame, flags: without any invalidation
%macro remap 3
  mov qword [PTE(%1)], PAGE(%2) + %3
%endmacro
%macro reload_cr3 0
  mov rax, cr3
  mov cr3, rax
%endmacro
main:
  mov dword [PAGE(1)], 1
  mov dword [PAGE(2)], 2
  mov rax, cr4
  bts eax, 7
  mov cr4, rax
  ; what is not global changes with MOV CR3
  remap 3, 1, 3
  invlpg [PAGE(3)]
  check_eq dword [PAGE(3)], 1
  remap 3, 2, 3
  reload_cr3
  check_eq dword [PAGE(3)], 2
  ; INVLPG takes global entries too
  remap 4, 1, 0x103
  invlpg [PAGE(4)]
  check_eq dword [PAGE(4)], 1
  remap 4, 2, 0x103
  invlpg [PAGE(4)]
  check_eq dword [PAGE(4)], 2
  ; CR4.PGE off and on: everything
  remap 4, 1, 0x103
  mov rax, cr4
  btr eax, 7
  mov cr4, rax
  check_eq dword [PAGE(4)], 1
  bts eax, 7
  mov cr4, rax
  check_eq dword [PAGE(4)], 1
  ; CR0.PG cannot be switched in 64-bit mode; CR4.PSE flushes nothing that matters, CR4.SMEP too: no check.
  ; the other halves of INVPCID
  require_cpuid 7, ebx, 10, "INVPCID"
  remap 4, 2, 0x103
  mov eax, 2 ; all, with globals
  invpcid rax, [.descriptor]
  check_eq dword [PAGE(4)], 2
  remap 3, 1, 3
  mov eax, 3 ; all but globals
  invpcid rax, [.descriptor]
  check_eq dword [PAGE(3)], 1
  mov eax, 4
  expect_fault GP, 0, invpcid rax, [.descriptor]
  pass
  align 16
.descriptor: dq 0, 0
