/* Matrix products: the only user of OpenBLAS besides its name in the fingerprint.  Always one thread a call: the engine
 * cuts the work itself, because a product that OpenBLAS cuts has other bits for every number of threads. */
#include "kernels/kernels.h"

#include <cblas.h>

#if TD_REAL == 64
#define GEMM cblas_dgemm
#else
#define GEMM cblas_sgemm
#endif

void K(k_gemm)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
	int64_t ldb, double beta, void *c, int64_t ldc)
{
	GEMM(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1,
		a, (int)lda, b, (int)ldb, (real)beta, c, (int)ldc);
}
