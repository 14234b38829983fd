"""The custom resources as pydantic models; the CRDs, the reference and the validation are made from them."""
