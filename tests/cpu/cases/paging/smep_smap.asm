; SMEP: the supervisor does not execute user pages. SMAP: it does not touch them, but with EFLAGS.AC or implicitly.
%include "long64.inc"
%define PTE(n) (PLAY_PT + 8 * (n))
%define PAGE(n) (PLAY + 0x1000 * (n))
main:
  require_cpuid 7, ebx, 7, "SMEP"
  require_cpuid 7, ebx, 20, "SMAP"
  or qword [PTE(1)], 4
  invlpg [PAGE(1)]
  mov byte [PAGE(1)], 0xC3
  mov eax, PAGE(1)
  call rax
  mov rax, cr4
  bts eax, 20
  mov cr4, rax
  mov eax, PAGE(1)
  arm_fault .smep
  call rax
  fail "executed"
.smep:
  check_eq dword [fault_vector], PF
  check_eq dword [fault_error], 0x11
  mov al, [PAGE(1)] ; data is SMAP's
  mov rax, cr4
  bts eax, 21
  mov cr4, rax
  expect_fault PF, 1, mov al, [PAGE(1)]
  expect_fault PF, 3, mov [PAGE(1)], al
  stac
  mov al, [PAGE(1)]
  mov [PAGE(1)], al
  clac
  expect_fault PF, 1, mov al, [PAGE(1)]
  mov r12d, 20 ; again and again, by the same instructions
.again:
  call touch
  stac
  call touch_allowed
  pushfq
  pop rax
  bt eax, 18
  check c
  clac
  pushfq
  pop rax
  bt eax, 18
  check nc
  dec r12d
  jnz .again
  ; implicit accesses (to the LDT, here) are denied with AC set, too
  mov dword [gdt_spare], (PAGE(1) & 0xFFFF) << 16 | 0xFF
  mov dword [gdt_spare + 4], 0x00008200 | (PAGE(1) >> 16 & 0xFF)
  mov eax, SPARE
  lldt ax
  stac
  mov eax, 0xC
  expect_fault PF, 1, mov es, eax
  check_eq qword [fault_cr2], PAGE(1) + 8
  clac
  xor eax, eax
  lldt ax
  ; STAC is for ring 0
  mov dword [PAGE(2)], 0xCB010F ; STAC
  or qword [PTE(2)], 4
  invlpg [PAGE(2)]
  arm_fault .user
  enter_user PAGE(2)
.user:
  check_eq dword [fault_vector], UD
  check_eq qword [fault_rip], PAGE(2)
  pass
touch:
  expect_fault PF, 1, mov al, [PAGE(1)]
  expect_fault PF, 3, mov [PAGE(1)], al
  ret
touch_allowed:
  mov al, [PAGE(1)]
  mov [PAGE(1)], al
  ret
