; Loops that change themselves while they run: what follows the store in the same block, what comes before it, by stores of
; all kinds, and by sites that have stored to plain data many times before.
%include "long64.inc"
%define PAGE(n) (PLAY + 0x1000 * (n))
; changes_self stores...: they write EBX to the 16 aligned bytes at R8, of which the first four are an immediate that is
; executed next; RDX and XMM1 hold the 8 and 16 bytes that shall be there.
%macro changes_self 1+
  mov ebx, 1
%%again:
  mov r8d, %%immediate
  mov rdx, 0x9090909000000000
  or rdx, rbx
  movq xmm1, rdx
  mov rax, 0x9090909090909090
  movq xmm2, rax
  punpcklqdq xmm1, xmm2
  %1
  jmp strict short %%run ; within the page: linked once it has run
  align 16
  times 15 nop
%%run:
  db 0xB8 ; mov eax, imm32
%%immediate:
  dd 0
  times 12 nop
  check_eq eax, ebx
  inc ebx
  cmp ebx, 40
  jne %%again
%endmacro
; The same without a jump in between: store and instruction are in one block.
%macro changes_next 1+
  mov ebx, 1
  jmp %%again
  align 64
%%again:
  mov r8d, %%immediate
  %1
  db 0xB8
%%immediate:
  dd 0
  check_eq eax, ebx
  inc ebx
  cmp ebx, 40
  jne %%again
%endmacro
%macro by_push 0
  lea rsp, [r8 + 8]
  push rdx
  mov rsp, r9
%endmacro
%macro by_xchg 0
  mov eax, ebx
  xchg [r8], eax
%endmacro
%macro by_cmpxchg 0
  mov eax, [r8]
  lock cmpxchg [r8], ebx
%endmacro
%macro by_stos 0
  mov edi, r8d
  mov eax, ebx
  stosd
%endmacro
%macro by_rep_stos 0
  mov edi, r8d
  mov eax, ebx
  mov ecx, 1
  rep stosd
%endmacro
%macro by_x87 0
  mov [scratch], ebx
  fild dword [scratch]
  fistp dword [r8]
%endmacro
%macro by_two 0 ; one check for both, the first to plain data
  mov dword [r8 - 512], 0x90909090
  mov [r8], ebx
%endmacro
%macro by_many 0 ; a site that has a slot for plain data
  mov ecx, 40
  lea r10, [r8 + 0x4000]
%%fill:
  cmp ecx, 1
  cmove r10, r8
  mov [r10], ebx
  dec ecx
  jnz %%fill
%endmacro
main:
  mov rax, cr4
  or eax, 0x600 ; OSFXSR OSXMMEXCPT
  mov cr4, rax
  mov r9, rsp
  changes_self mov [r8], ebx
  changes_self mov [r8], bl
  changes_self mov [r8], rdx
  changes_self movups [r8], xmm1
  changes_self movaps [r8], xmm1
  changes_self movntdq [r8], xmm1
  changes_self movss [r8], xmm1
  changes_self inc dword [r8]
  changes_self add qword [r8], 1
  changes_self lock inc dword [r8]
  changes_self by_push
  changes_self by_xchg
  changes_self by_cmpxchg
  changes_self by_stos
  changes_self by_rep_stos
  changes_self by_x87
  changes_self by_two
  changes_self by_many
  changes_next by_xchg
  changes_next by_cmpxchg
  changes_next by_stos
  changes_next by_x87
  changes_next mov [r8], ebx
  changes_next mov [r8], bl
  changes_next inc dword [r8]
  changes_next lock inc dword [r8]
  ; backwards: the store changes what the loop has just executed
  mov ecx, 40
  xor esi, esi
  xor edi, edi
  jmp .back
  align 16
.back:
  add esi, strict dword 0
.back_end:
  inc dword [.back_end - 4]
  add edi, 40
  sub edi, ecx
  dec ecx
  jnz .back
  check_eq esi, edi
  ; a block that shrinks and grows: its last instruction becomes a jump out, and a NOP again
  mov ecx, 40
  xor esi, esi
.flip:
  mov ax, 0x9090
  test cl, 1
  jz .even
  mov ax, 2 << 8 | 0xEB ; jmp over the INC
.even:
  mov [.site], ax
.site:
  nop
  nop
  inc esi
  dec ecx
  jnz .flip
  check_eq esi, 20
  pass
scratch: dd 0
