"""Where each method was published, as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from counterpoise.core.errors import check_choice
from counterpoise.methods.method import Method

__all__ = ["MMCOSINE", "REFERENCES", "Reference", "bibtex", "names_in"]


class Reference(NamedTuple):
    """A publication.

    Attributes:
        key: In BibTeX.
        author: Names, joined by "and".
        title: As printed.
        venue: Conference or journal.
        year: Of publication.
        journal: Whether the venue is a journal.
    """

    key: str
    author: str
    title: str
    venue: str
    year: int
    journal: bool = False

    def bibtex(self) -> str:
        """Return the entry.

        Example:
            >>> print(Reference("doe2030", "Doe, Jane", "On Balance", "Proc. X", 2030).bibtex())
            @inproceedings{doe2030,
              author = {Doe, Jane},
              title = {{On Balance}},
              booktitle = {Proc. X},
              year = {2030},
            }
        """
        kind, field = ("article", "journal") if self.journal else ("inproceedings", "booktitle")
        return "\n".join(
            [
                f"@{kind}{{{self.key},",
                f"  author = {{{self.author}}},",
                f"  title = {{{{{self.title}}}}},",
                f"  {field} = {{{self.venue}}},",
                f"  year = {{{self.year}}},",
                "}",
            ]
        )


_CVPR = "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)"
_ICCV = "IEEE/CVF International Conference on Computer Vision (ICCV)"
_ICML = "International Conference on Machine Learning (ICML)"
_NEURIPS = "Advances in Neural Information Processing Systems (NeurIPS)"

_ON_THE_FLY = Reference(
    "peng2022balanced",
    "Peng, Xiaokang and Wei, Yake and Deng, Andong and Wang, Dong and Hu, Di",
    "Balanced Multimodal Learning via On-the-fly Gradient Modulation",
    _CVPR,
    2022,
)
_BLENDING = Reference(
    "wang2020what",
    "Wang, Weiyao and Tran, Du and Feiszli, Matt",
    "What Makes Training Multi-modal Classification Networks Hard?",
    _CVPR,
    2020,
)

REFERENCES: dict[str, Reference] = {
    "AGM": Reference(
        "li2023boosting",
        "Li, Hong and Li, Xingyu and Hu, Pengbo and Lei, Yinuo and Li, Chunxiao and Zhou, Yi",
        "Boosting Multi-modal Model Performance with Adaptive Gradient Modulation",
        _ICCV,
        2023,
    ),
    "ARL": Reference(
        "wei2025improving",
        "Wei, Shicai and Luo, Chunbo and Luo, Yang",
        "Improving Multimodal Learning via Imbalanced Learning",
        _ICCV,
        2025,
    ),
    "CGGM": Reference(
        "guo2024classifier",
        "Guo, Zirun and Jin, Tao and Chen, Jingyuan and Zhao, Zhou",
        "Classifier-guided Gradient Modulation for Enhanced Multimodal Learning",
        _NEURIPS,
        2024,
    ),
    "CML": Reference(
        "ma2023calibrating",
        "Ma, Huan and Zhang, Qingyang and Zhang, Changqing and Wu, Bingzhe and Fu, Huazhu and "
        "Zhou, Joey Tianyi and Hu, Qinghua",
        "Calibrating Multimodal Learning",
        _ICML,
        2023,
    ),
    "DGL": Reference(
        "wei2025boosting",
        "Wei, Shicai and Luo, Chunbo and Luo, Yang",
        "Boosting Multimodal Learning via Disentangled Gradient Learning",
        _ICCV,
        2025,
    ),
    "GBlend": _BLENDING,
    "InfoReg": Reference(
        "huang2025adaptive",
        "Huang, Chengxiang and Wei, Yake and Yang, Zequn and Hu, Di",
        "Adaptive Unimodal Regulation for Balanced Multimodal Information Acquisition",
        _CVPR,
        2025,
    ),
    "LFM": Reference(
        "yang2024facilitating",
        "Yang, Yang and Wan, Fengqiang and Jiang, Qing-Yuan and Xu, Yi",
        "Facilitating Multimodal Classification via Dynamically Learning Modality Gap",
        _NEURIPS,
        2024,
    ),
    "MCR": Reference(
        "kontras2025balancing",
        "Kontras, Konstantinos and Strypsteen, Thomas and Chatzichristos, Christos and "
        "Liang, Paul Pu and Blaschko, Matthew and De Vos, Maarten",
        "Balancing Multimodal Training Through Game-Theoretic Regularization",
        _NEURIPS,
        2025,
    ),
    "MLA": Reference(
        "zhang2024multimodal",
        "Zhang, Xiaohui and Yoon, Jaehong and Bansal, Mohit and Yao, Huaxiu",
        "Multimodal Representation Learning by Alternating Unimodal Adaptation",
        _CVPR,
        2024,
    ),
    "MLB": Reference(
        "kontras2024improving",
        "Kontras, Konstantinos and Chatzichristos, Christos and Blaschko, Matthew and "
        "De Vos, Maarten",
        "Improving Multimodal Learning with Multi-Loss Gradient Modulation",
        "British Machine Vision Conference (BMVC)",
        2024,
    ),
    "MMPareto": Reference(
        "wei2024mmpareto",
        "Wei, Yake and Hu, Di",
        "MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance",
        _ICML,
        2024,
    ),
    "MSES": Reference(
        "fujimori2019modality",
        "Fujimori, Naotsuna and Endo, Rei and Kawai, Yoshihiko and Mochizuki, Takahiro",
        "Modality-Specific Learning Rate Control for Multimodal Classification",
        "Asian Conference on Pattern Recognition (ACPR)",
        2019,
    ),
    "MSLR": Reference(
        "yao2022modality",
        "Yao, Yiqun and Mihalcea, Rada",
        "Modality-specific Learning Rates for Effective Multimodal Additive Late-fusion",
        "Findings of the Association for Computational Linguistics: ACL 2022",
        2022,
    ),
    "OGM": _ON_THE_FLY,
    "OGMGE": _ON_THE_FLY,
    "OPM": Reference(
        "wei2024onthefly",
        "Wei, Yake and Hu, Di and Du, Henghui and Wen, Ji-Rong",
        "On-the-fly Modulation for Balanced Multimodal Learning",
        "IEEE Transactions on Pattern Analysis and Machine Intelligence",
        2024,
        journal=True,
    ),
    "PMR": Reference(
        "fan2023pmr",
        "Fan, Yunfeng and Xu, Wenchao and Wang, Haozhao and Wang, Junxiao and Guo, Song",
        "PMR: Prototypical Modal Rebalance for Multimodal Learning",
        _CVPR,
        2023,
    ),
    "ReconBoost": Reference(
        "hua2024reconboost",
        "Hua, Cong and Xu, Qianqian and Bao, Shilong and Yang, Zhiyong and Huang, Qingming",
        "ReconBoost: Boosting Can Achieve Modality Reconcilement",
        _ICML,
        2024,
    ),
    "Relearning": Reference(
        "wei2024diagnosing",
        "Wei, Yake and Li, Siwei and Feng, Ruoxuan and Hu, Di",
        "Diagnosing and Re-learning for Balanced Multimodal Learning",
        "European Conference on Computer Vision (ECCV)",
        2024,
    ),
    "Remix": Reference(
        "ma2025improving",
        "Ma, Xiaoyu and Chen, Hao and Deng, Yongjian",
        "Improving Multimodal Learning Balance and Sufficiency through Data Remixing",
        _ICML,
        2025,
    ),
    "UMT": Reference(
        "du2023unimodal",
        "Du, Chenzhuang and Teng, Jiaye and Li, Tingle and Liu, Yichen and Yuan, Tianyuan and "
        "Wang, Yue and Yuan, Yang and Zhao, Hang",
        "On Uni-Modal Feature Learning in Supervised Multi-Modal Learning",
        _ICML,
        2023,
    ),
    "UnimodalLoss": _BLENDING,
}
"""By name of the method. Joint training has none."""

MMCOSINE = "MMCosine"
"""Published as a method, and here a fusion, "cosine"."""

_FUSIONS = {
    MMCOSINE: Reference(
        "xu2023mmcosine",
        "Xu, Ruize and Feng, Ruoxuan and Zhang, Shi-Xiong and Hu, Di",
        "MMCosine: Multi-Modal Cosine Loss Towards Balanced Audio-Visual Fine-Grained Learning",
        "IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)",
        2023,
    ),
}

_UNPUBLISHED = ("Joint",)


def names_in(method: str | Method) -> list[str]:
    """Return the names of the methods that one is made of, as :meth:`Method.title` joins them.

    Example:
        >>> names_in("UnimodalLoss + AGM")
        ['UnimodalLoss', 'AGM']
    """
    title = method if isinstance(method, str) else method.title()
    return title.split(" + ")


def bibtex(names: Iterable[str]) -> str:
    """Return the BibTeX of some methods, each publication once, in the order of the names.

    Args:
        names: Of methods, such as "AGM", or "MMCosine". Joint training adds nothing.

    Raises:
        ValueError: If one is unknown; the nearest is suggested.

    Example:
        >>> print(bibtex(["OGM", "OGMGE"]).splitlines()[0])
        @inproceedings{peng2022balanced,
    """
    known = REFERENCES | _FUSIONS
    found: dict[str, Reference] = {}
    for name in names:
        check_choice("name", name, (*known, *_UNPUBLISHED))
        if name in known:
            found.setdefault(known[name].key, known[name])
    return "\n\n".join(reference.bibtex() for reference in found.values())
