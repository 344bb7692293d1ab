"""Which ops `autocast` casts the inputs of, by the device that they run on. Names only; `autocasting` does the casting.

LOWER goes to the lower precision, WIDE to float32, PROMOTE to the widest dtype among the inputs; UNTOUCHED is run as it
is, and so are the ops inside of it; REFUSED raises. What is not listed runs in the dtypes that it gets. The lists are PyTorch's
(aten/src/ATen/autocast_mode.h and .cpp), by the names that Tensor's methods and the op table have for them.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["LISTS", "Policy"]


class Policy(Enum):
    """What becomes of the inputs of an op."""

    LOWER = "float inputs go to the lower precision"
    WIDE = "float inputs go to float32"
    PROMOTE = "float inputs go to the widest dtype among them"
    UNTOUCHED = "inputs stay, and so do those of the ops inside"
    REFUSED = "float16 cannot hold what it computes"


# What the vision and attention functions call in our op table instead of PyTorch's names.
_ATTENTION = "_attention_inputs _attention scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu"
_PRODUCTS = f"""
    conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution prelu addmm addbmm baddbmm
    bmm mm matmul linear linalg_vecdot {_ATTENTION}
"""
_LOSSES = """
    mse_loss cosine_embedding_loss nll_loss nll_loss2d hinge_embedding_loss poisson_nll_loss smooth_l1_loss l1_loss huber_loss
    margin_ranking_loss soft_margin_loss triplet_margin_loss multi_margin_loss kl_div multilabel_margin_loss
    binary_cross_entropy_with_logits
"""
_CPU = {
    # GRUs and cells of LSTMs come out in float32 on the CPU, where only oneDNN's layers are lowered.
    Policy.LOWER: f"{_PRODUCTS} gw::lstm_layer gw::rnn_layer",
    Policy.UNTOUCHED: "lstm_cell gru_cell",
    Policy.PROMOTE: "stack cat index_copy",
    Policy.WIDE: f"""
        {_LOSSES} cross_entropy_loss ctc_loss binary_cross_entropy grid_sampler grid_sampler_2d grid_sampler_3d polar prod
        quantile nanquantile stft cdist trace view_as_complex cholesky cholesky_inverse cholesky_solve inverse lu_solve
        orgqr ormqr pinverse qr svd triangular_solve geqrf _lu_with_info max_pool3d max_pool3d_with_indices
        max_unpool2d max_unpool3d adaptive_avg_pool3d adaptive_max_pool3d avg_pool3d fractional_max_pool2d
        fractional_max_pool3d reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d replication_pad3d
        _fft_c2c _fft_c2r _fft_r2c
        linalg_cholesky linalg_cholesky_ex linalg_cond linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh
        linalg_householder_product linalg_inv linalg_inv_ex linalg_lstsq linalg_matrix_rank linalg_qr linalg_solve
        linalg_svd linalg_svdvals linalg_tensorinv linalg_tensorsolve lu _linalg_solve_ex
    """,
}
_CUDA = {
    Policy.LOWER: f"""
        {_PRODUCTS} addmv addr mv einsum chain_matmul linalg_multi_dot lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell
        gw::lstm_layer gw::gru_layer gw::rnn_layer
    """,
    Policy.REFUSED: "binary_cross_entropy",
    Policy.PROMOTE: "addcdiv addcmul atan2 bilinear cross linalg_cross dot vdot grid_sampler index_put tensordot scatter_add",
    Policy.WIDE: f"""
        {_LOSSES} acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow softplus layer_norm
        native_layer_norm rms_norm group_norm frobenius_norm nuclear_norm cosine_similarity dist pdist cdist renorm logsumexp
        upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
        _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d upsample_bicubic2d
        _upsample_bilinear2d_aa _upsample_bicubic2d_aa prod softmax log_softmax cumprod cumsum linalg_vector_norm
        linalg_matrix_norm sum norm
    """,
}


def _by_name(lists: dict[Policy, str]) -> dict[str, Policy]:
    return {name: policy for policy, names in lists.items() for name in names.split()}


# By device type.
LISTS = {"cpu": _by_name(_CPU), "cuda": _by_name(_CUDA)}
