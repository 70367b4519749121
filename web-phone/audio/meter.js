/** How loud it is: the RMS since one last asked, as 0 to 1 on a scale of 60 dB, which is how ears count. */
export class Meter {
  sum = 0;
  count = 0;

  /** @param {Float32Array} pcm */
  add(pcm) {
    let sum = 0;
    for (let i = 0; i < pcm.length; i++) sum += pcm[i] * pcm[i];
    this.sum += sum;
    this.count += pcm.length;
  }

  /** @returns {number} 0 (-60 dB or less) to 1 (full scale) */
  take() {
    const power = this.count ? this.sum / this.count : 0;
    this.sum = this.count = 0;
    return Math.min(1, Math.max(0, 1 + (10 * Math.log10(power + 1e-12)) / 60));
  }
}
