; Accessed and dirty bits appear with the access that needs them, and not before.
%include "long64.inc"
%define PTE (PLAY_PT + 8 * 3)
%define PAGE (PLAY + 0x3000)
main:
  check_eq qword [PTE], PAGE + 3
  mov al, [PAGE]
  check_eq qword [PTE], PAGE + 0x23
  mov [PAGE], al
  check_eq qword [PTE], PAGE + 0x63
  mov qword [PTE], PAGE + 3
  invlpg [PAGE]
  lock cmpxchg [PAGE + 8], rax ; a locked access writes even when it does not change
  check_eq qword [PTE], PAGE + 0x63
  ; a write to a read-only page sets neither (the fault comes first) ...
  mov qword [PTE], PAGE + 1
  invlpg [PAGE]
  expect_fault PF, 3, mov [PAGE], al
  test qword [PTE], 0x40
  check z
  ; ... and with CR0.WP off it does
  mov rax, cr0
  btr eax, 16
  mov cr0, rax
  mov [PAGE], al
  bts eax, 16
  mov cr0, rax
  test qword [PTE], 0x40
  check nz
  ; the upper levels: accessed only
  test qword [PML4], 0x20
  check nz
  mov eax, [PD + 8 * 2]
  and eax, 0x60
  check_eq eax, 0x20
  ; a large page has its own dirty bit
  mov rax, 0x83 + 0xC00000
  mov [PD + 8 * 6], rax
  invlpg [0xC00000]
  mov al, [0xC00000]
  mov rax, [PD + 8 * 6]
  and eax, 0x60
  check_eq eax, 0x20
  mov [0xC00000], al
  mov rax, [PD + 8 * 6]
  and eax, 0x60
  check_eq eax, 0x60
  ; execution sets the accessed bit
  mov qword [PTE], PAGE + 3
  invlpg [PAGE]
  mov byte [PAGE], 0xC3
  mov qword [PTE], PAGE + 3
  invlpg [PAGE]
  mov eax, PAGE
  call rax
  check_eq qword [PTE], PAGE + 0x23
  pass
