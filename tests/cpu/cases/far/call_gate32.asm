; 32-bit and 16-bit call gates: same level, to ring 0 with parameters copied, far return to ring 3, and every refusal.
; KVM without hardware behind it emulates no call gates.
; kvm: hardware
%include "pm32.inc"
%define SLOT(n) (SPARE + (n) * 8)
%define UCODE_ENTRY 0x60000000
%macro gate 5 ; slot, selector, offset, type and DPL byte, parameters
  mov eax, %3
  mov word [gdt_spare + (%1) * 8], ax
  mov word [gdt_spare + (%1) * 8 + 2], %2
  mov byte [gdt_spare + (%1) * 8 + 4], %5
  mov byte [gdt_spare + (%1) * 8 + 5], %4
  shr eax, 16
  mov word [gdt_spare + (%1) * 8 + 6], ax
%endmacro
%macro descriptor 3 ; slot, high dword, low dword
  mov dword [gdt_spare + (%1) * 8], %3
  mov dword [gdt_spare + (%1) * 8 + 4], %2
%endmacro

main:
  ; far call and jump without a gate
  mov ebp, esp
  call KCODE32:.near_enough
  check_eq esp, ebp
  jmp KCODE32:.jumped
.near_enough:
  check_eq dword [esp + 4], KCODE32
  retf
.jumped:
  ; through a gate at the same level
  gate 0, KCODE32, .same, 0x8C, 0
  call SLOT(0):0xDEADBEEF
  check_eq esp, ebp
  gate 0, KCODE32, .through, 0x8C, 3
  jmp SLOT(0):0
.same:
  lea eax, [ebp - 8]
  check_eq esp, eax
  retf
.through:
  ; refusals, each with its selector
  expect_fault GP, 0, call 0:0
  expect_fault GP, 0x1000, call 0x1000:0
  expect_fault GP, KDATA, call KDATA:0
  expect_fault GP, UCODE32, call UCODE32:0
  expect_fault GP, KCODE32, call KCODE32|1:0
  gate 1, KCODE32, .same, 0x0C, 0
  expect_fault NP, SLOT(1), call SLOT(1):0
  gate 1, KCODE32, .same, 0x8C, 0
  expect_fault GP, SLOT(1), call SLOT(1)|3:0
  gate 1, 0, .same, 0x8C, 0
  expect_fault GP, 0, call SLOT(1):0
  gate 1, KDATA, .same, 0x8C, 0
  expect_fault GP, KDATA, call SLOT(1):0
  descriptor 2, 0x00CF1B00, 0x0000FFFF ; code, not present
  expect_fault NP, SLOT(2), call SLOT(2):0
  gate 1, SLOT(2), .same, 0x8C, 0
  expect_fault NP, SLOT(2), call SLOT(1):0
  descriptor 2, 0x00409B00, 0x00000FFF ; code with a limit
  expect_fault GP, 0, call SLOT(2):0x1000
  expect_fault GP, 0, jmp SLOT(2):0x1000

  ; from ring 3 to ring 0 with two parameters
  gate 3, KCODE32, .inner, 0xEC, 2
  arm_fault .back
  enter_user .user
.user:
  push dword 0x11111111
  push dword 0x22222222
  call SLOT(3)|3:0
  ; the callee released its copies and ours
  int 0x80
.inner:
  mov ax, cs
  check_eq ax, KCODE32
  mov ax, ss
  check_eq ax, KDATA
  check_eq esp, STACK_TOP(0) - 0x4000 - 24
  check_eq dword [esp + 8], 0x22222222
  check_eq dword [esp + 12], 0x11111111
  check_eq dword [esp + 16], 0x300000 - 8
  check_eq dword [esp + 20], UDATA | 3
  check_eq dword [esp + 4], UCODE32 | 3
  mov eax, KDATA ; DPL 0: must not survive the return
  mov fs, eax
  mov eax, UDATA | 3
  mov gs, eax
  retf 8
.back:
  check_eq dword [fault_vector], 0x80
  mov eax, [fault_esp]
  check_eq dword [eax + 5 * 4], 0x300000 ; vector error eip cs eflags esp
  check_eq dword [eax + 6 * 4], UDATA | 3
  mov ax, fs
  check_eq ax, 0
  mov ax, gs
  check_eq ax, UDATA | 3

  ; a 16-bit gate pushes words and takes 16 bits of offset
  gate 3, KCODE16, small, 0xE4, 1
  arm_fault .back16
  enter_user .user16
.user16:
  push word 0x3333
  call SLOT(3)|3:0
  int 0x80
.back16:
  check_eq dword [fault_vector], 0x80
  check_eq word [seen + 4], 0x3333
  check_eq word [seen + 2], UCODE32 | 3
  check_eq word [seen + 8], UDATA | 3

  ; the stack for the new level comes from the TSS: its SS is checked, #TS with the selector
  descriptor 2, 0x00CFBB00, 0x0000FFFF ; ring 1 code
  descriptor 4, 0x00CFB300, 0x0000FFFF ; ring 1 data
  gate 3, SLOT(2) | 1, .ring1, 0xEC, 0
%macro stack_refused 3 ; SS1, vector, error
  mov dword [tss32 + 12], STACK_TOP(0) - 0x6000
  mov dword [tss32 + 16], %1
  arm_fault %%resumed
  enter_user .do_call
%%resumed:
  check_eq dword [fault_vector], %2
  check_eq dword [fault_error], %3
  check_eq dword [fault_cs], UCODE32 | 3
%endmacro
  stack_refused 0, TS_, 0
  stack_refused 0x1000, TS_, 0x1000
  stack_refused UDATA | 3, TS_, UDATA
  stack_refused UDATA | 1, TS_, UDATA
  stack_refused SLOT(4), TS_, SLOT(4)
  stack_refused SLOT(2) | 1, TS_, SLOT(2)
  mov byte [gdt_spare + 4 * 8 + 5], 0x33
  stack_refused SLOT(4) | 1, SS_, SLOT(4)
  mov byte [gdt_spare + 4 * 8 + 5], 0xB3
  mov word [gdt_tss], 0x0F ; the TSS too short
  mov eax, TSS(0)
  and byte [gdt_tss + 5], ~2
  ltr ax
  stack_refused SLOT(4) | 1, TS_, TSS(0)
  mov word [gdt_tss], tss32_end - tss32 - 1
  and byte [gdt_tss + 5], ~2
  ltr ax
  arm_fault .from_ring1
  mov dword [tss32 + 16], SLOT(4) | 1
  enter_user .do_call
.ring1:
  mov ax, cs
  int 0x80
.do_call:
  call SLOT(3)|3:0
.from_ring1:
  check_eq dword [fault_vector], 0x80 ; its gate has DPL 3
  check_eq dword [fault_cs], SLOT(2) | 1
  check_eq ax, SLOT(2) | 1
  pass
  bits 16
small:
  push ds
  push eax
  mov ax, KDATA
  mov ds, ax
  movzx eax, sp
  add eax, (STACK_TOP(0) - 0x4000) & 0xFFFF0000
  mov ebx, [eax + 6]
  mov [seen], ebx
  mov ebx, [eax + 10]
  mov [seen + 4], ebx
  mov bx, [eax + 14]
  mov [seen + 8], bx
  pop eax
  pop ds
  retf 2
seen: times 8 dw 0
  bits 32
