// The client beside QEMU's server: the same bytes as qemu-io sees, servers that are killed, TLS.
#include <fmt/format.h>

#include <atomic>
#include <random>

#include "block/nbd/nbd.h"
#include "block/open/open.h"
#include "unit/block/nbd/server.h"

namespace vireo::block {
namespace {

constexpr u64 kSize = 8 * kMiB;

std::vector<u8> bytes(std::mt19937_64& random, u64 length) {
  std::vector<u8> made(length);
  for (auto& byte : made) byte = static_cast<u8>(random());
  return made;
}

std::unique_ptr<Storage> open(const test::NbdServer& server, const NbdOptions& options = {.write = true}) {
  auto opened = open_nbd(server.uri(), options);
  EXPECT_TRUE(opened) << opened.error().message;
  return opened ? std::move(*opened) : nullptr;
}

struct QemuNbd : testing::Test {
  void SetUp() override {
    if (!test::NbdServer::installed()) GTEST_SKIP() << "qemu-utils is not installed";
  }
};

TEST_F(QemuNbd, HasTheBytesThatWereWrittenZeroedAndTrimmed) {
  test::NbdServer server(kSize);
  server.start({"--discard=unmap"});
  std::mt19937_64 random(1);
  std::vector<u8> model(kSize);
  {
    const auto disk = open(server);
    ASSERT_TRUE(disk);
    EXPECT_EQ(disk->size(), kSize);
    for (int i = 0; i < 2000; ++i) {
      const u64 offset = random() % kSize, length = 1 + random() % std::min<u64>(kSize - offset, 200'000);
      const auto at = model.begin() + static_cast<std::ptrdiff_t>(offset);
      switch (random() % 6) {
        case 0:
        case 1: {
          const auto written = bytes(random, length);
          ASSERT_TRUE(disk->write(offset, written));
          std::copy(written.begin(), written.end(), at);
          break;
        }
        case 2:
          ASSERT_TRUE(disk->write_zeroes(offset, length, random() % 2 == 0));
          std::fill_n(at, length, 0);
          break;
        case 3:
          ASSERT_TRUE(disk->discard(offset, length));
          ASSERT_TRUE(disk->read(offset, std::span(&*at, length)));
          break;
        case 4:
          ASSERT_TRUE(disk->flush());
          break;
        default: {
          std::vector<u8> read(length);
          ASSERT_TRUE(disk->read(offset, read));
          ASSERT_TRUE(std::equal(read.begin(), read.end(), at)) << offset << "+" << length;
        }
      }
    }
    ASSERT_TRUE(disk->flush());
  }
  EXPECT_EQ(server.content(), model);
}

TEST_F(QemuNbd, AgreesWithQemuIoOnTheSameExport) {
  test::NbdServer server(kSize);
  server.start();
  const auto disk = open(server);
  ASSERT_TRUE(disk);
  const std::vector<u8> written(70'000, 0xA5);
  ASSERT_TRUE(disk->write(12345, written));
  ASSERT_TRUE(disk->flush());
  const auto qemu_io = [&](const std::string& command) {
    return test::shell(fmt::format("qemu-io -f raw -c '{}' '{}' >/dev/null", command, server.uri()));
  };
  EXPECT_EQ(qemu_io("read -P 0xa5 12345 70000"), 0);
  EXPECT_NE(qemu_io("read -P 0xa5 12344 70000"), 0);
  EXPECT_EQ(qemu_io("write -P 0x17 1000000 5000"), 0);
  std::vector<u8> read(5000);
  ASSERT_TRUE(disk->read(1'000'000, read));
  EXPECT_EQ(read, std::vector<u8>(5000, 0x17));
}

TEST_F(QemuNbd, ReadsZeroesBeyondTheEndAndDoesNotWriteThere) {
  test::NbdServer server(kSize + 100);
  server.start();
  const auto disk = open(server);
  ASSERT_TRUE(disk);
  ASSERT_TRUE(disk->write(disk->size() - 10, std::vector<u8>(10, 7)));
  std::vector<u8> read(1000, 1);
  ASSERT_TRUE(disk->read(disk->size() - 10, read));
  std::vector<u8> expected(1000);
  std::fill_n(expected.begin(), 10, 7);
  EXPECT_EQ(read, expected);
  std::fill(read.begin(), read.end(), u8{1});
  ASSERT_TRUE(disk->read(disk->size() + 5, read));
  EXPECT_EQ(read, std::vector<u8>(1000));
  EXPECT_EQ(disk->write(disk->size() - 5, std::vector<u8>(10)).error(), Status::NoSpace);
}

TEST_F(QemuNbd, SaysWhatIsWrongWithAnExport) {
  test::NbdServer server(kSize);
  EXPECT_EQ(open_nbd(server.uri(), {}).error().kind, ErrorKind::NotFound);  // nobody listens
  server.start({"--read-only", "--export-name=disk"});
  EXPECT_EQ(open_nbd("nbd+unix:///other?socket=" + server.socket(), {}).error().kind, ErrorKind::NotFound);
  const auto uri = "nbd+unix:///disk?socket=" + server.socket();
  EXPECT_EQ(open_nbd(uri, {.write = true}).error().kind, ErrorKind::Usage);
  const auto disk = open_nbd(uri, {});
  ASSERT_TRUE(disk) << disk.error().message;
  EXPECT_EQ((*disk)->write(0, std::vector<u8>(512)).error(), Status::ReadOnly);
}

TEST_F(QemuNbd, OpensImagesOfAnyFormat) {
  test::NbdServer server(64 * kMiB);
  ASSERT_EQ(test::shell("qemu-img create -q -f qcow2 " + server.image() + " 1G"), 0);
  std::filesystem::resize_file(server.image(), 64 * kMiB);
  server.start();
  const auto threads = std::make_shared<IoThreads>();
  {
    const auto image = open_image(server.uri(), {}, threads);
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ((*image)->format(), "qcow2");
    ASSERT_TRUE((*image)->write(512 * kMiB, std::vector<u8>(kMiB, 0x42)));
    ASSERT_TRUE((*image)->flush());
  }
  server.kill();
  EXPECT_EQ(test::shell("qemu-img check -q " + server.image()), 0);
  EXPECT_EQ(
      test::shell(fmt::format("qemu-io -f qcow2 -c 'read -P 0x42 512M 1M' {} | grep -q 'failed'", server.image())), 1);
}

/// Random requests of many threads of submission at once, each in a place of its own.
class Load {
 public:
  Load(Storage& disk, unsigned writers) : disk_(disk) {
    for (unsigned i = 0; i < writers; ++i) writers_.push_back(std::make_unique<Writer>(*this, i));
  }
  void start() {
    for (auto& writer : writers_) writer->next();
  }
  void stop() {
    stop_ = true;
    disk_.drain();
  }
  unsigned failed() const { return failed_; }
  unsigned completed() const { return completed_; }
  /// What must be there.
  void compare(const std::vector<u8>& content) const {
    for (const auto& writer : writers_) {
      for (u64 block = 0; block < kBlocks; ++block) {
        const auto* at = content.data() + writer->base + block * kBlock;
        ASSERT_EQ(std::vector<u8>(at, at + kBlock), std::vector<u8>(kBlock, writer->blocks[block]))
            << "writer " << writer->base / (kBlocks * kBlock) << " block " << block;
      }
    }
  }

 private:
  static constexpr u64 kBlock = 4096, kBlocks = 32;
  struct Writer : Request {
    Writer(Load& whose, unsigned number) : all(&whose), base(number * kBlocks * kBlock), random(number) {}
    void next() {
      const u64 block = random() % kBlocks;
      buffer.assign(kBlock, static_cast<u8>(random()));
      const auto kind = random() % 8;
      operation = kind == 0 ? Operation::Flush : kind < 3 ? Operation::Read : Operation::Write;
      offset = operation == Operation::Flush ? 0 : base + block * kBlock;
      length = operation == Operation::Flush ? 0 : kBlock;
      piece = {buffer.data(), kBlock};
      memory = operation == Operation::Flush ? std::span<const iovec>() : std::span<const iovec>(&piece, 1);
      done = [](Request& request, Status status) {
        auto& writer = static_cast<Writer&>(request);
        auto& load = *writer.all;
        const u64 which = (writer.offset - writer.base) / kBlock;
        if (status != Status::Ok) ++load.failed_;
        ++load.completed_;
        if (status == Status::Ok && writer.operation == Operation::Write) writer.blocks[which] = writer.buffer[0];
        if (status == Status::Ok && writer.operation == Operation::Read &&
            writer.buffer != std::vector<u8>(kBlock, writer.blocks[which])) {
          ++load.failed_;
        }
        if (!load.stop_) writer.next();
      };
      all->disk_.submit(*this);
    }
    Load* all;
    const u64 base;
    std::mt19937_64 random;
    std::vector<u8> buffer;
    iovec piece{};
    std::array<u8, kBlocks> blocks{};
  };
  Storage& disk_;
  std::vector<std::unique_ptr<Writer>> writers_;
  std::atomic<bool> stop_{false};
  std::atomic<unsigned> failed_{0}, completed_{0};
};

void sleep(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

TEST_F(QemuNbd, LosesNothingWhenTheServerIsKilledAndStartedAgainUnderLoad) {
  test::NbdServer server(kSize);
  server.start();
  const auto disk = open(server);
  ASSERT_TRUE(disk);
  Load load(*disk, 40);
  load.start();
  for (int i = 0; i < 5; ++i) {
    sleep(200);
    server.kill();
    sleep(i * 40);
    const unsigned before = load.completed();
    server.start();
    for (int wait = 0; wait < 500 && load.completed() == before; ++wait) sleep(10);
    EXPECT_GT(load.completed(), before);
  }
  load.stop();
  EXPECT_EQ(load.failed(), 0u);
  EXPECT_GT(load.completed(), 1000u);
  ASSERT_TRUE(disk->flush());
  load.compare(server.content());
}

TEST_F(QemuNbd, WritesAgainWhatALostServerMayHaveForgotten) {
  test::NbdServer server(kSize);
  server.start();
  const auto disk = open(server);
  ASSERT_TRUE(disk);
  ASSERT_TRUE(disk->write(4096, std::vector<u8>(4096, 1)));
  ASSERT_TRUE(disk->flush());
  ASSERT_TRUE(disk->write(8192, std::vector<u8>(4096, 2)));
  ASSERT_TRUE(disk->write(8192, std::vector<u8>(2048, 3)));
  ASSERT_TRUE(disk->write_zeroes(8192, 512, true));
  server.kill();
  // The server's host lost what was not flushed, and what was flushed has meanwhile been changed by somebody.
  std::ofstream(server.image()).close();
  std::filesystem::resize_file(server.image(), kSize);
  server.start();
  ASSERT_TRUE(disk->flush());
  std::vector<u8> expected(kSize);
  std::fill_n(expected.begin() + 8192, 4096, 2);
  std::fill_n(expected.begin() + 8192, 2048, 3);
  std::fill_n(expected.begin() + 8192, 512, 0);
  EXPECT_EQ(server.content(), expected);
}

TEST_F(QemuNbd, KeepsNoMoreUnflushedThanItsBound) {
  test::NbdServer server(256 * kMiB);
  server.start({"--cache=unsafe"});
  const auto disk = open(server);
  ASSERT_TRUE(disk);
  const std::vector<u8> written(4 * kMiB, 9);
  for (u64 at = 0; at < 256 * kMiB; at += written.size()) ASSERT_TRUE(disk->write(at, written));
  server.kill();
  std::ofstream(server.image()).close();
  std::filesystem::resize_file(server.image(), 256 * kMiB);
  server.start();
  ASSERT_TRUE(disk->flush());
  // What was flushed on the way is not written again.
  u64 again = 0;
  for (const u8 byte : server.content()) again += byte == 9 ? 1 : 0;
  EXPECT_GT(again, 0u);
  EXPECT_LE(again, 64 * kMiB + written.size());
}

TEST_F(QemuNbd, FailsWhenTheServerStaysAwayAndGoesOnWhenItIsBack) {
  test::NbdServer server(kSize);
  server.start();
  const auto disk = open(server, {.write = true, .patience_ns = 300'000'000});
  ASSERT_TRUE(disk);
  ASSERT_TRUE(disk->flush());
  server.kill();
  std::vector<u8> read(512);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(disk->read(0, read).error(), Status::IoError);
  const auto waited = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(waited, std::chrono::milliseconds(250));
  EXPECT_LT(waited, std::chrono::seconds(5));
  EXPECT_EQ(disk->read(0, read).error(), Status::IoError);
  server.start();
  bool back = false;
  for (int i = 0; i < 300 && !back; ++i) {
    back = disk->read(0, read).has_value();
    if (!back) sleep(20);
  }
  EXPECT_TRUE(back);
}

TEST_F(QemuNbd, DoesNotTakeAnExportOfAnotherSizeForTheOneItLost) {
  test::NbdServer server(kSize);
  server.start();
  const auto disk = open(server, {.write = true, .patience_ns = 500'000'000});
  ASSERT_TRUE(disk);
  server.kill();
  std::filesystem::resize_file(server.image(), kSize / 2);
  server.start();
  std::vector<u8> read(512);
  EXPECT_EQ(disk->read(0, read).error(), Status::IoError);
}

/// Certificates as QEMU wants them: of an authority, of a server that is "disks.example", and of a client.
struct QemuNbdTls : QemuNbd {
  void SetUp() override {
    QemuNbd::SetUp();
    if (IsSkipped()) return;
    if (test::shell("openssl version >/dev/null 2>&1") != 0) GTEST_SKIP() << "openssl is not installed";
    for (const char* name : {"own", "other"}) {
      const auto made = test::shell(fmt::format(
          "cd {0} && mkdir {1} && cd {1} && exec >/dev/null 2>&1 && "
          "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority "
          "-addext keyUsage=critical,keyCertSign -keyout ca-key.pem -out ca-cert.pem && "
          "for who in server client; do "
          "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$who -keyout $who-key.pem "
          "-out $who.csr && printf 'subjectAltName=DNS:disks.example,IP:127.0.0.1' >$who.ext && "
          "openssl x509 -req -days 2 -in $who.csr -CA ca-cert.pem -CAkey ca-key.pem -CAcreateserial -extfile $who.ext "
          "-out $who-cert.pem || exit 1; done",
          server.folder(), name));
      ASSERT_EQ(made, 0);
    }
  }
  void start(bool verify_client) {
    server.start({fmt::format("--object=tls-creds-x509,id=tls,endpoint=server,dir={}/own,verify-peer={}",
                              server.folder(), verify_client ? "yes" : "no"),
                  "--tls-creds=tls"});
  }
  std::string uri(const std::string& certificates, const std::string& more) const {
    return fmt::format("nbds+unix:///?socket={}&tls-certificates={}/{}{}", server.socket(), server.folder(),
                       certificates, more);
  }
  test::NbdServer server{kSize};
};

TEST_F(QemuNbdTls, ReadsAndWritesAndConnectsAnew) {
  start(true);
  const auto opened = open_nbd(uri("own", "&tls-hostname=disks.example"), {.write = true});
  ASSERT_TRUE(opened) << opened.error().message;
  auto& disk = **opened;
  std::mt19937_64 random(3);
  const auto written = bytes(random, 5'000'000);
  ASSERT_TRUE(disk.write(4321, written));
  std::vector<u8> read(written.size());
  ASSERT_TRUE(disk.read(4321, read));
  EXPECT_EQ(read, written);
  ASSERT_TRUE(disk.write_zeroes(0, kSize, true));
  Load load(disk, 20);
  load.start();
  sleep(200);
  server.kill();
  const unsigned before = load.completed();
  start(true);
  for (int wait = 0; wait < 500 && load.completed() < before + 100; ++wait) sleep(10);
  load.stop();
  EXPECT_EQ(load.failed(), 0u);
  EXPECT_GE(load.completed(), before + 100);
  ASSERT_TRUE(disk.flush());
  load.compare(server.content());
}

TEST_F(QemuNbdTls, TrustsNobodyElseAndNoOtherName) {
  start(false);
  EXPECT_EQ(open_nbd(uri("other", "&tls-hostname=disks.example"), {}).error().kind, ErrorKind::Denied);
  EXPECT_EQ(open_nbd(uri("own", "&tls-hostname=evil.example"), {}).error().kind, ErrorKind::Denied);
  EXPECT_EQ(open_nbd(uri("own", "&tls-hostname=127.0.0.2"), {}).error().kind, ErrorKind::Denied);
  EXPECT_EQ(open_nbd(uri("own", ""), {}).error().kind, ErrorKind::Usage);  // nobody is named
  EXPECT_TRUE(open_nbd(uri("own", "&tls-hostname=127.0.0.1"), {}));
  EXPECT_TRUE(open_nbd(uri("other", "&tls-verify-peer=false"), {}));
  EXPECT_EQ(open_nbd(server.uri(), {}).error().kind, ErrorKind::Denied);  // in the clear
}

TEST_F(QemuNbdTls, IsNotTalkedIntoTheClear) {
  server.start();
  EXPECT_EQ(open_nbd(uri("own", "&tls-hostname=disks.example"), {}).error().kind, ErrorKind::Denied);
}

}  // namespace
}  // namespace vireo::block
