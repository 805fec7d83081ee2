// SPDX-License-Identifier: BSD-2-Clause
// Threads whose native memory comes from malloc: direct buffers, deflaters, short-lived threads.
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.Deflater;
import java.util.zip.Inflater;

public class Busy {
    static byte[] block(int seed, int size) {
        byte[] bytes = new byte[size];
        int state = seed * 7919 + size;
        for (int i = 0; i < size; i++) {
            state = state * 1103515245 + 12345;
            bytes[i] = (byte) ((state >> 16) & 15);
        }
        return bytes;
    }

    static long work(int seed, int rounds) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        for (int turn = 0; turn < rounds; turn++) {
            for (int n = 1; n <= 60; n++) {
                byte[] plain = block(seed, (n * 733 + seed * 97) % 40000 + 1);
                Deflater deflater = new Deflater(n % 9 + 1);
                deflater.setInput(plain);
                deflater.finish();
                byte[] packed = new byte[plain.length * 2 + 64];
                int length = deflater.deflate(packed);
                deflater.end();
                Inflater inflater = new Inflater();
                inflater.setInput(packed, 0, length);
                byte[] again = new byte[plain.length];
                int got = inflater.inflate(again);
                inflater.end();
                if (got != plain.length || !java.util.Arrays.equals(plain, again)) throw new Exception("inflate");
                ByteBuffer direct = ByteBuffer.allocateDirect(plain.length);
                direct.put(plain).flip();
                digest.update(direct);
            }
        }
        return ByteBuffer.wrap(digest.digest()).getLong();
    }

    public static void main(String[] args) throws Exception {
        int rounds = Integer.parseInt(args[0]);
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<Long>> results = new ArrayList<>();
        for (int seed = 0; seed < 32; seed++) {
            final int mine = seed;
            results.add(pool.submit(() -> work(mine, rounds)));
        }
        for (Future<Long> result : results) System.out.println(Long.toHexString(result.get()));
        pool.shutdown();
        long[] sums = new long[200];
        for (int start = 0; start < sums.length; start += 20) {
            Thread[] batch = new Thread[20];
            for (int i = 0; i < batch.length; i++) {
                final int at = start + i;
                batch[i] = new Thread(() -> sums[at] = "ab".repeat(at).length());
                batch[i].start();
            }
            for (Thread thread : batch) thread.join();
        }
        long total = 0;
        for (long sum : sums) total += sum;
        System.out.println(total);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook")));
    }
}
