// A PC with firmware instead of a kernel.
#include "machine/pc/firmware.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "dev/fwcfg/spec.h"
#include "fake_host.h"
#include "machine/pc/layout.h"

namespace vireo::machine {
namespace {

class PcFirmwareTest : public testing::Test {
 protected:
  static constexpr u64 kRom = 256 * kKiB, kMemory = 64 * kMiB;

  void SetUp() override {
    rom_ = (std::filesystem::temp_directory_path() / ("vireo-firmware-test-" + std::to_string(getpid()))).string();
    write_rom(kRom);
  }
  void TearDown() override { std::filesystem::remove(rom_); }

  void write_rom(u64 size) {
    std::string bytes(size, 'a');
    bytes[size - layout::kRomCopySize] = 'b';
    bytes[size - 1] = 'z';
    std::ofstream(rom_, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  Spec spec() const {
    Spec spec;
    spec.memory = kMemory;
    spec.firmware = rom_;
    spec.firmware_size = kRom;
    return spec;
  }
  std::unique_ptr<Pc> machine(const Spec& spec) {
    auto made = Pc::create(spec, host_.get());
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  static u32 config(Pc& pc, unsigned device, u16 offset) {
    pc.io().port_write(0xCF8, 4, 0x80000000 | device << 11 | offset);
    return pc.io().port_read(0xCFC, 4);
  }
  static std::string item(Pc& pc, u16 key, std::size_t size) {
    pc.io().port_write(layout::kFwCfg, 2, key);
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) {
      bytes.push_back(static_cast<char>(pc.io().port_read(layout::kFwCfg + 1, 1)));
    }
    return bytes;
  }
  /// A file's bytes, by its directory entry; empty when there is none.
  static std::string file(Pc& pc, const std::string& name) {
    constexpr u16 kDirectory = dev::fwcfg::FW_CFG_FILE_DIR;
    const u32 count = load_be<u32>(item(pc, kDirectory, 4).data());
    const auto directory = item(pc, kDirectory, 4 + count * dev::fwcfg::kFileEntrySize);
    for (u32 i = 0; i < count; ++i) {
      const char* entry = directory.data() + 4 + i * dev::fwcfg::kFileEntrySize;
      if (name == entry + 8) return item(pc, load_be<u16>(entry + 4), load_be<u32>(entry));
    }
    return "";
  }

  FakeHost host_;
  std::string rom_;
};

TEST_F(PcFirmwareTest, BeginsInTheRomAndHasItsEndBelow1MiB) {
  auto pc = machine(spec());
  ASSERT_TRUE(pc->boot());
  const auto& cpu = dynamic_cast<KeptVcpu&>(*pc->vcpus()[0]).kept;
  EXPECT_EQ(cpu.regs.rip, 0xFFF0u);
  EXPECT_EQ(cpu.event.activity, vm::x86::Activity::Running);
  EXPECT_EQ(cpu.sys.mtrr_def_type, 0u) << "firmware sets these";
  for (const auto& [address, byte] :
       {std::pair{0xFFFC0000u, 'a'}, {0xFFFFFFFFu, 'z'}, {0xE0000u, 'b'}, {0xFFFFFu, 'z'}}) {
    char got = 0;
    ASSERT_TRUE(pc->memory().read(address, &got, 1));
    EXPECT_EQ(got, byte) << std::hex << address;
  }
}

TEST_F(PcFirmwareTest, LoadsTheRomAgainAtAReset) {
  auto pc = machine(spec());
  ASSERT_TRUE(pc->boot());
  const char changed = '!';
  ASSERT_TRUE(pc->memory().write(0xE0000, &changed, 1));
  ASSERT_TRUE(pc->boot());
  char got = 0;
  pc->memory().read(0xE0000, &got, 1);
  EXPECT_EQ(got, 'b');
}

TEST_F(PcFirmwareTest, HasTheChipsetThatFirmwareKnowsAndConfigurationSpaceWhereItIsPut) {
  auto pc = machine(spec());
  ASSERT_TRUE(pc->boot());
  EXPECT_EQ(config(*pc, 0, 0), 0x29C08086u);
  EXPECT_EQ(config(*pc, layout::kLpcSlot, 0), 0x29188086u);
  EXPECT_EQ(pc->io().mmio_read(layout::kEcam, 4), 0xFFFFFFFFu);
  config(*pc, 0, 0x60);
  pc->io().port_write(0xCFC, 4, 0xB0000001);
  EXPECT_EQ(pc->io().mmio_read(0xB0000000, 4), 0x29C08086u);
  EXPECT_EQ(pc->io().mmio_read(0xB0000000 + (u64{layout::kLpcSlot} << 15), 4), 0x29188086u);
  EXPECT_EQ(pc->io().mmio_read(0xBFFFFFFC, 8), ~u64{0}) << "across its end";
  ASSERT_TRUE(pc->boot());
  EXPECT_EQ(pc->io().mmio_read(0xB0000000, 4), 0xFFFFFFFFu);
}

TEST_F(PcFirmwareTest, TellsFirmwareOfMemoryCpusAndTheOrderOfDisks) {
  Spec two = spec();
  two.memory = 3 * kGiB;
  two.cpus = 2;
  two.firmware_boot = {.menu = true, .disks = {0}};
  auto pc = machine(two);
  ASSERT_TRUE(pc->boot());
  EXPECT_EQ(load<u16>(item(*pc, dev::fwcfg::FW_CFG_NB_CPUS, 2).data()), 2u);
  const auto e820 = file(*pc, "etc/e820");
  ASSERT_EQ(e820.size(), 40u);
  EXPECT_EQ(load<u64>(e820.data() + 8), 2 * kGiB);
  EXPECT_EQ(load<u64>(e820.data() + 20), 4 * kGiB);
  EXPECT_EQ(load<u64>(e820.data() + 28), kGiB);
  EXPECT_EQ(file(*pc, "bootorder"), std::string("/pci@i0cf8/scsi@10/disk@0,0\n\0", 29));
  EXPECT_EQ(load<u64>(file(*pc, "etc/show-boot-menu").data()), 1u);
  EXPECT_EQ(load<u64>(file(*pc, "etc/sercon-port").data()), 0x3F8u);
}

TEST_F(PcFirmwareTest, NamesInItsTablesWhereFirmwareHasPutConfigurationSpace) {
  auto pc = machine(spec());
  ASSERT_TRUE(pc->boot());
  const auto base = [&] {
    const auto tables = file(*pc, "etc/acpi/tables");
    const auto at = tables.find("MCFG");
    return at == tables.npos ? 0 : load<u64>(tables.data() + at + 44);
  };
  EXPECT_EQ(base(), layout::kEcam);
  const auto size = file(*pc, "etc/acpi/tables").size();
  config(*pc, 0, 0x60);
  pc->io().port_write(0xCFC, 4, 0xC0000001);
  EXPECT_EQ(base(), 0xC0000000u);
  EXPECT_EQ(file(*pc, "etc/acpi/tables").size(), size);
}

TEST_F(PcFirmwareTest, GoesOnFromASavedState) {
  auto pc = machine(spec()), other = machine(spec());
  ASSERT_TRUE(pc->boot());
  config(*pc, 0, 0x60);
  pc->io().port_write(0xCFC, 4, 0xB0000001);
  other->prepare_restore();
  const auto from = pc->stateful(), to = other->stateful();
  ASSERT_EQ(from.size(), to.size());
  for (std::size_t i = 0; i < from.size(); ++i) ASSERT_TRUE(to[i]->load(from[i]->save())) << from[i]->save().name;
  EXPECT_EQ(other->io().mmio_read(0xB0000000, 4), 0x29C08086u);
}

TEST_F(PcFirmwareTest, RefusesWhatIsNoFirmware) {
  const auto message = [&](auto change) {
    Spec changed = spec();
    change(changed);
    auto made = Pc::create(changed, host_.get());
    if (!made) return made.error().message;
    auto booted = (*made)->boot();
    return booted ? "" : booted.error().message;
  };
  EXPECT_EQ(message([](Spec& s) { s.firmware = "odd", s.firmware_size = 65537; }),
            "'odd' has 65537 bytes and is no firmware; one has 64 KiB to 16 MiB, and a multiple of 4 KiB");
  EXPECT_NE(message([](Spec& s) { s.firmware_size = 32 * kMiB; }), "");
  EXPECT_EQ(message([](Spec& s) { s.memory = 2 * kMiB; }),
            "2 MiB of memory are too little for firmware; choose 16 MiB or more");
  EXPECT_EQ(message([](Spec& s) { s.firmware_boot.disks = {9}; }), "there is no disk 9 to boot from; there are 2");
  write_rom(2 * kRom);
  EXPECT_EQ(message([](Spec&) {}), "'" + rom_ + "' has 524288 bytes now, and had 262144 before");
}

}  // namespace
}  // namespace vireo::machine
