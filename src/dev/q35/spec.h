// The chipset that firmware programs. Sources: Intel 3 Series Express Chipset Family datasheet (316966), 5.1 (host
// bridge, D0:F0); Intel I/O Controller Hub 9 datasheet (316972), 13.1 (LPC bridge, D31:F0) and 13.8.3 (SMI_EN).
#pragma once

#include "base/types.h"

namespace vireo::dev::q35 {

constexpr u16 kIntel = 0x8086;
/// What firmware recognizes a virtual machine by.
constexpr u16 kSubsystemVendor = 0x1AF4, kSubsystem = 0x1100;

namespace mch {
constexpr u16 kDevice = 0x29C0;
// Registers (table 5-1)
constexpr u16 EPBAR = 0x40, MCHBAR = 0x48, PCIEXBAR = 0x60, DMIBAR = 0x68, PAM0 = 0x90, LAC = 0x97, SMRAM = 0x9D,
              ESMRAMC = 0x9E, TOM = 0xA0, TOUUD = 0xA2, TSEGMB = 0xAC, TOLUD = 0xB0;
constexpr unsigned kPams = 7;
/// In each half of a PAM register: RE, WE.
constexpr u8 kPamWritable = 0x33;
constexpr u64 PCIEXBAREN = 1;
/// PCIEXBAR's length field (bits 2:1) and the address bits that count for each.
constexpr u64 kLengthMask = 6, k256MiB = 0, k128MiB = 2, k64MiB = 4;
constexpr u64 kBarWritable = 0x0000'000F'FC00'0007;
}  // namespace mch

namespace lpc {
constexpr u16 kDevice = 0x2918;
constexpr u32 kClass = 0x060100;
constexpr u16 PMBASE = 0x40, ACPI_CNTL = 0x44, GPIOBASE = 0x48, GC = 0x4C, PIRQA_ROUT = 0x60, SIRQ_CNTL = 0x64,
              PIRQE_ROUT = 0x68, LPC_IO_DEC = 0x80, LPC_EN = 0x82, GEN_PMCON_1 = 0xA0, RCBA = 0xF0;
/// PIRQx_ROUT: IRQEN, "not routed to the 8259".
constexpr u8 kNotRouted = 0x80;
}  // namespace lpc

/// SMI_EN and SMI_STS, at 0x30 and 0x34 of the power management block.
constexpr u16 kSmiEnOffset = 0x30, kSmiPorts = 8;
constexpr u32 APMC_EN = 1 << 5;

}  // namespace vireo::dev::q35
