#include "machine/pc/pc.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/bits.h"
#include "base/bytes.h"
#include "fake_host.h"
#include "machine/pc/firmware.h"
#include "machine/pc/layout.h"
#include "pci/config/spec.h"

namespace vireo::machine {
namespace {

/// A PVH kernel of one page at 1 MiB, in a file.
class PcTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto bytes = pvh_kernel();
    kernel_ = (std::filesystem::temp_directory_path() / ("vireo-pc-test-" + std::to_string(getpid()))).string();
    std::ofstream(kernel_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  void TearDown() override { std::filesystem::remove(kernel_); }

  std::unique_ptr<Pc> machine(u64 memory = 64 * kMiB, unsigned cpus = 1) {
    Spec spec;
    spec.memory = memory;
    spec.cpus = cpus;
    spec.kernel = kernel_;
    auto made = Pc::create(spec, host_.get());
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  static KeptVcpu& cpu(Pc& pc, unsigned n) { return dynamic_cast<KeptVcpu&>(*pc.vcpus()[n]); }

  FakeHost host_;
  std::string kernel_;
};

TEST_F(PcTest, BootsAKernelOnTheFirstCpuWhileTheOthersWait) {
  auto pc = machine(64 * kMiB, 3);
  ASSERT_TRUE(pc->boot());
  EXPECT_EQ(cpu(*pc, 0).kept.regs.rip, 0x100000u);
  EXPECT_EQ(cpu(*pc, 0).kept.event.activity, vm::x86::Activity::Running);
  EXPECT_TRUE(cpu(*pc, 0).apic().accepts_pic());
  for (unsigned n : {1u, 2u}) {
    EXPECT_EQ(cpu(*pc, n).kept.event.activity, vm::x86::Activity::WaitForSipi);
    EXPECT_EQ(cpu(*pc, n).kept.sys.mtrr_def_type, cpu(*pc, 0).kept.sys.mtrr_def_type);
    EXPECT_EQ(cpu(*pc, n).kept.sys.mtrr_variable, cpu(*pc, 0).kept.sys.mtrr_variable);
    EXPECT_EQ(cpu(*pc, n).kept.sys.tsc, cpu(*pc, 0).kept.sys.tsc);
  }
  u32 code = 0;
  ASSERT_TRUE(pc->memory().read(0x100000, &code, 4));
  EXPECT_EQ(code, 0xFEEDC0DEu);
  EXPECT_EQ(load<u64>(pc->memory().at(0xE0000, 8)), load<u64>("RSD PTR "));
}

TEST_F(PcTest, ARebootStartsFromCleanMemory) {
  auto pc = machine();
  ASSERT_TRUE(pc->boot());
  const u64 trash = 0x55;
  ASSERT_TRUE(pc->memory().write(0x200000, &trash, 8));
  pc->io().port_write(0x3FF, 1, 0x77);
  cpu(*pc, 0).kept.regs.rip = 1;
  ASSERT_TRUE(pc->boot());
  EXPECT_EQ(*pc->memory().at(0x200000, 1), 0);
  EXPECT_EQ(pc->io().port_read(0x3FF, 1), 0u);
  EXPECT_EQ(cpu(*pc, 0).kept.regs.rip, 0x100000u);
}

TEST_F(PcTest, UnclaimedAddressesReadAllOnes) {
  auto pc = machine();
  auto& io = pc->io();
  EXPECT_EQ(io.port_read(0x80, 1), 0xFFu);
  EXPECT_EQ(io.port_read(0x1234, 2), 0xFFFFu);
  EXPECT_EQ(io.port_read(0xFFFF, 4), 0xFFFFFFFFu);
  EXPECT_EQ(io.mmio_read(0xA0000, 4), 0xFFFFFFFFu);
  EXPECT_EQ(io.mmio_read(0xD0000000, 8), ~u64{0});
  EXPECT_EQ(io.mmio_read(0xFED00000, 8), ~u64{0});
  EXPECT_EQ(io.mmio_read(~u64{0} - 7, 8), ~u64{0});
  io.port_write(0xFFFF, 4, 1);
  io.mmio_write(0xD0000000, 8, 1);
}

TEST_F(PcTest, AccessesAcrossTheEndOfARangeAreSplit) {
  auto pc = machine();
  auto& io = pc->io();
  io.port_write(0x3FF, 1, 0x5A);  // the UART's scratch register is its last port
  EXPECT_EQ(io.port_read(0x3FF, 2), 0xFF5Au);
  EXPECT_EQ(io.port_read(0x3FE, 4) >> 8, 0xFFFF5Au);
}

TEST_F(PcTest, ResetRegisterIsReachedByBytesAndPciByDoublewords) {
  auto pc = machine();
  auto& io = pc->io();
  io.port_write(0xCF8, 4, 0x80000600);  // would be 6 at 0xCF9
  EXPECT_EQ(host_.power.count[vm::PowerControl::Request::Reset], 0);
  EXPECT_EQ(io.port_read(0xCF8, 4), 0x80000600u);
  io.port_write(0xCF8, 4, 0x80000000);
  EXPECT_EQ(io.port_read(0xCFC, 4), 0x00081B36u);
  EXPECT_EQ(io.mmio_read(layout::kEcam, 4), 0x00081B36u);
  io.port_write(0xCF9, 1, 6);
  EXPECT_EQ(host_.power.count[vm::PowerControl::Request::Reset], 1);
}

TEST_F(PcTest, EveryWayToResetAndPowerOffReachesTheOwner) {
  auto pc = machine();
  auto& io = pc->io();
  io.port_write(0x64, 1, 0xFE);
  io.port_write(0x92, 1, 1);
  EXPECT_EQ(host_.power.count[vm::PowerControl::Request::Reset], 2);
  io.port_write(0x604, 2, 5 << 10 | 1 << 13);  // PM1_CNT: SLP_TYP of S5, SLP_EN
  EXPECT_EQ(host_.power.count[vm::PowerControl::Request::PowerOff], 1);
}

TEST_F(PcTest, SerialOutputReachesTheConsole) {
  auto pc = machine();
  for (const char c : {'h', 'i'}) pc->io().port_write(0x3F8, 1, static_cast<u8>(c));
  EXPECT_EQ(host_.console.text, "hi");
}

/// Programs the PIC as a BIOS does (vectors 8..15, 0x70..0x77, nothing masked).
void start_pic(vm::MachineIo& io) {
  for (const auto& [port, value] : std::initializer_list<std::pair<u16, u8>>{{0x20, 0x11},
                                                                             {0x21, 0x08},
                                                                             {0x21, 4},
                                                                             {0x21, 1},
                                                                             {0xA0, 0x11},
                                                                             {0xA1, 0x70},
                                                                             {0xA1, 2},
                                                                             {0xA1, 1},
                                                                             {0x21, 0},
                                                                             {0xA1, 0}}) {
    io.port_write(port, 1, value);
  }
}

TEST_F(PcTest, DeviceInterruptsArriveAtThePicAndKickTheBootCpu) {
  auto pc = machine(64 * kMiB, 2);
  start_pic(pc->io());
  pc->io().port_write(0x3FC, 1, 0x0B);  // MCR: OUT2 lets the interrupt out
  pc->io().port_write(0x3F9, 1, 0x02);  // IER: transmitter empty
  EXPECT_TRUE(pc->io().pic_pending());
  EXPECT_GE(cpu(*pc, 0).kicks, 1);
  EXPECT_EQ(cpu(*pc, 1).kicks, 0);
  EXPECT_EQ(pc->io().pic_acknowledge(), 0x08 + 4);
}

TEST_F(PcTest, DeviceInterruptsArriveAtTheirIoApicPin) {
  auto pc = machine();
  ASSERT_TRUE(pc->boot());
  const auto entry = [&](unsigned pin, u32 low) {
    pc->io().mmio_write(layout::kIoApic, 4, 0x10 + 2 * pin);
    pc->io().mmio_write(layout::kIoApic + 0x10, 4, low);
  };
  entry(4, 0x31);
  pc->io().port_write(0x3FC, 1, 0x0B);
  pc->io().port_write(0x3F9, 1, 0x02);
  EXPECT_EQ(cpu(*pc, 0).apic().pending_vector(), 0x31);
}

TEST_F(PcTest, ThePowerButtonRaisesTheSci) {
  auto pc = machine();
  ASSERT_TRUE(pc->boot());
  start_pic(pc->io());
  EXPECT_FALSE(pc->power_button_enabled());
  pc->io().port_write(0x602, 2, 0x100);  // PM1_EN: PWRBTN
  EXPECT_TRUE(pc->power_button_enabled());
  pc->press_power_button();
  EXPECT_TRUE(pc->io().pic_pending());
  EXPECT_EQ(pc->io().pic_acknowledge(), 0x71);  // IRQ 9
}

TEST_F(PcTest, EveryModelSavesItsStateUnderItsOwnNameAndTakesItBack) {
  auto pc = machine();
  ASSERT_TRUE(pc->boot());
  pc->io().port_write(0x3FF, 1, 0x42);
  std::set<std::string> names;
  std::vector<vm::StateRecord> records;
  for (auto* model : pc->stateful()) {
    records.push_back(model->save());
    EXPECT_TRUE(names.insert(records.back().name).second) << records.back().name;
  }
  auto other = machine();
  other->prepare_restore();
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto loaded = other->stateful()[i]->load(records[i]);
    EXPECT_TRUE(loaded) << loaded.error().message;
  }
  EXPECT_EQ(other->io().port_read(0x3FF, 1), 0x42u);
}

TEST_F(PcTest, VirtioDevicesHaveSlotsOfTheirOwnAndAnswerInThe64BitWindow) {
  auto pc = machine();
  ASSERT_TRUE(pc->boot());
  const auto config = [&](unsigned slot, u16 offset) { return layout::kEcam + (slot << 15) + offset; };
  const auto id = [&](unsigned slot) { return static_cast<u32>(pc->io().mmio_read(config(slot, 0), 4)); };
  EXPECT_EQ(id(layout::kRngSlot), 0x10441AF4u);
  EXPECT_EQ(id(layout::kBalloonSlot), 0x10451AF4u);
  EXPECT_EQ(id(layout::kConsoleSlot), 0x10431AF4u);
  EXPECT_EQ(id(layout::kFirstDiskSlot), 0x10421AF4u);
  EXPECT_EQ(id(layout::kFirstDiskSlot + 1), 0x10421AF4u);
  EXPECT_EQ(id(layout::kFirstDiskSlot + 2), 0xFFFFFFFFu);

  const u64 window = layout::pci_memory64(pc->spec().memory, 40)->first;
  const unsigned slot = layout::kFirstDiskSlot;
  const u64 assigned = pc->io().mmio_read(config(slot, pci::reg::BaseAddress0), 8) & ~u64{15};
  EXPECT_GE(assigned, layout::kPciMemory);
  EXPECT_LT(assigned, layout::kPciMemoryEnd);
  EXPECT_EQ(assigned % 0x8000, 0u);
  pc->io().mmio_write(config(slot, pci::reg::BaseAddress0), 4, window & 0xFFFFFFFF);
  pc->io().mmio_write(config(slot, pci::reg::BaseAddress0 + 4), 4, window >> 32);
  pc->io().mmio_write(config(slot, pci::reg::Command), 2, pci::command::MemorySpace | pci::command::BusMaster);
  EXPECT_EQ(pc->io().mmio_read(window + 0x2000, 8), 128u);  // capacity of the disk, in sectors
  const auto before = pc->device_stats();
  pc->io().mmio_write(window + 0x3000, 2, 0);  // a doorbell
  ASSERT_EQ(before.size(), 5u);
  EXPECT_EQ(before[3].name, "virtio_blk0");
  EXPECT_EQ(before[3].stats.counters[0].count, 0u);
  EXPECT_EQ(pc->device_stats()[3].stats.counters[0].count, 1u);
  EXPECT_NE(pc->balloon(), nullptr);
}

TEST_F(PcTest, RefusesMoreDevicesThanThereAreSlots) {
  auto host = host_.get();
  host.disks.resize(layout::kDiskSlots + 1, host.disks[0]);
  Spec spec;
  spec.kernel = kernel_;
  const auto made = Pc::create(spec, host);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "there are 17 disks; this machine has up to 16");
}

TEST_F(PcTest, RefusesWhatCannotBe) {
  const auto error = [&](auto change) {
    Spec spec;
    spec.kernel = kernel_;
    change(spec);
    auto made = Pc::create(spec, host_.get());
    if (!made) return made.error();
    auto booted = (*made)->boot();
    EXPECT_FALSE(booted);
    return booted ? Error{} : booted.error();
  };
  EXPECT_EQ(error([](Spec& spec) { spec.cpus = 0; }).message, "0 CPUs are not possible; choose 1 to 255");
  EXPECT_EQ(error([](Spec& spec) { spec.memory = 0; }).kind, ErrorKind::Usage);
  EXPECT_EQ(error([](Spec& spec) { spec.memory = 1ull << 60; }).kind, ErrorKind::Usage);
  EXPECT_EQ(error([](Spec& spec) { spec.kernel = "/nonexistent/vmlinuz"; }).kind, ErrorKind::NotFound);
  EXPECT_EQ(error([](Spec& spec) { spec.initrd = "/nonexistent/initrd"; }).kind, ErrorKind::NotFound);
  EXPECT_EQ(error([](Spec& spec) { spec.kernel = "/"; }).kind, ErrorKind::Usage);
  EXPECT_EQ(error([](Spec& spec) { spec.kernel = "/dev/null"; }).kind, ErrorKind::Usage);
  EXPECT_EQ(error([](Spec& spec) { spec.initrd = "/dev/null"; }).kind, ErrorKind::Usage);
  EXPECT_EQ(error([](Spec& spec) { spec.kernel.clear(); }).kind, ErrorKind::Usage);
}

TEST(PcFirmware, MemoryTypesAreWriteBackForRamAndUncachedForDevices) {
  vm::x86::SystemRegs sys;
  firmware::set_memory_types(sys, 40);
  EXPECT_EQ(sys.mtrr_def_type, 0xC06u);
  EXPECT_EQ(sys.mtrr_fixed[0], 0x0606060606060606u);
  EXPECT_EQ(sys.mtrr_fixed[2], 0u);  // 0xA0000..0xBFFFF
  EXPECT_EQ(sys.mtrr_variable[0], 0xC0000000u);
  EXPECT_EQ(sys.mtrr_variable[1], 0xFFC0000800u);
}

TEST(PcLayout, MemoryGoesAroundTheHoles) {
  for (const u64 size : {2 * kMiB, 128 * kMiB, 3 * kGiB, 3 * kGiB + kMiB, 5 * kGiB}) {
    const auto slots = layout::memory_slots(size);
    u64 total = 0;
    for (const auto& slot : slots) total += slot.size;
    EXPECT_EQ(total, size - (layout::kUpperMemory - layout::kBaseMemoryEnd));
    EXPECT_EQ(slots.size(), size > 3 * kGiB ? 3u : 2u);
    for (const auto& range : layout::memory_map(size)) {
      if (range.type != boot::MemoryType::Ram) continue;
      const bool backed = std::ranges::any_of(
          slots, [&](const auto& slot) { return range.base >= slot.gpa && range.end() <= slot.gpa + slot.size; });
      EXPECT_TRUE(backed) << std::hex << range.base;
    }
  }
}

TEST(PcLayout, The64BitWindowIsAboveMemoryAndWithinReach) {
  EXPECT_EQ(layout::pci_memory64(kGiB, 40)->first, 32 * kGiB);
  EXPECT_EQ(layout::pci_memory64(40 * kGiB, 40)->first, 64 * kGiB);
  EXPECT_EQ(layout::pci_memory64(40 * kGiB, 40)->last, 96 * kGiB - 1);
  EXPECT_FALSE(layout::pci_memory64(kGiB, 35));
}

}  // namespace
}  // namespace vireo::machine
