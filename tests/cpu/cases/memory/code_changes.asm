; Self-modifying code: the next instruction, a loop's body, a called function, by another mapping, by string stores.
%include "long64.inc"
%define PTE(n) (PLAY_PT + 8 * (n))
%define PAGE(n) (PLAY + 0x1000 * (n))
main:
  ; the immediate of the very next instruction
  mov ecx, 100
  mov ebx, 1000
.next:
  mov [.immediate + 1], ebx
.immediate:
  mov eax, 0
  check_eq eax, ebx
  inc ebx
  dec ecx
  jnz .next
  ; an instruction that overwrites what follows it in the same block
  mov eax, 1
  mov word [.patched], 0xC0FF ; inc eax
.patched:
  nop
  nop
  check_eq eax, 2
  ; a function, called through another mapping and changed through this one
  mov byte [PAGE(1)], 0xB8
  mov dword [PAGE(1) + 1], 7
  mov byte [PAGE(1) + 5], 0xC3
  mov qword [PTE(2)], PAGE(1) + 3
  invlpg [PAGE(2)]
  mov esi, PAGE(2)
  mov ecx, 50
.call:
  mov [PAGE(1) + 1], ecx
  call rsi
  check_eq eax, ecx
  dec ecx
  jnz .call
  ; copied over by REP MOVSB, and by one store that covers several instructions
  mov ecx, 10
.copy:
  push rcx
  mov [.source + 1], ecx
  mov esi, .source
  mov edi, PAGE(3)
  mov ecx, .source_end - .source
  rep movsb
  mov eax, PAGE(3)
  call rax
  pop rcx
  check_eq eax, ecx
  dec ecx
  jnz .copy
  mov rax, 0xC300000055B8 ; mov eax, 0x55; ret
  mov [PAGE(3)], rax
  mov eax, PAGE(3)
  call rax
  check_eq eax, 0x55
  ; remapped: the same address is other code
  mov byte [PAGE(4)], 0xB8
  mov dword [PAGE(4) + 1], 0x66
  mov byte [PAGE(4) + 5], 0xC3
  mov qword [PTE(3)], PAGE(4) + 3
  invlpg [PAGE(3)]
  mov eax, PAGE(3)
  call rax
  check_eq eax, 0x66
  ; written twice before it runs
  mov dword [PAGE(4)], 0xC3C0FFC0
  mov dword [PAGE(4)], 0x00C3F889 ; mov eax, edi; ret
  mov edi, 0x77
  mov eax, PAGE(3)
  call rax
  check_eq eax, 0x77
  ; written through a read-modify-write and through PUSH
  mov byte [PAGE(5)], 0xB8
  mov dword [PAGE(5) + 1], 0
  mov byte [PAGE(5) + 5], 0xC3
  mov ebx, PAGE(5)
  mov ecx, 20
.rmw:
  call rbx
  mov edx, 20
  sub edx, ecx
  check_eq eax, edx
  lock inc dword [PAGE(5) + 1]
  dec ecx
  jnz .rmw
  mov rbp, rsp
  mov esp, PAGE(6) + 8
  mov rax, 0xC300000011B8
  push rax
  mov rsp, rbp
  mov eax, PAGE(6)
  call rax
  check_eq eax, 0x11
  pass
.source:
  mov eax, 0
  ret
.source_end:
